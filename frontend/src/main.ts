import { mount } from 'svelte'
import App from './App.svelte'
import './app.css'
import { speech } from './i18n/index.svelte'
import { router } from './lib/router.svelte'
import { theme } from './lib/theme.svelte'

// A new version has replaced the chunks that this page still names: load the page anew, once a minute
// at most, so that a chunk that is truly missing does not make a loop.
addEventListener('vite:preloadError', (event) => {
  const last = Number(sessionStorage.getItem('carcloud.renewed'))
  if (Date.now() - last < 60_000) return
  sessionStorage.setItem('carcloud.renewed', String(Date.now()))
  event.preventDefault()
  location.reload()
})

theme.start()
speech.start()
router.start()

const target = document.getElementById('app')
if (target) mount(App, { target })
