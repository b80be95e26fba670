import { mount } from 'svelte'
import App from './App.svelte'
import './app.css'
import { speech } from './i18n/index.svelte'
import { router } from './lib/router.svelte'
import { theme } from './lib/theme.svelte'

theme.start()
speech.start()
router.start()

const target = document.getElementById('app')
if (target) mount(App, { target })
