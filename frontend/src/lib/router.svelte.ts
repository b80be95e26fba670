// Routes are plain paths with history; the query string holds what a deep link must restore.
import { MISSING, PAGES, type PageEntry } from '../pages'

export interface Route {
  page: PageEntry
  args: Record<string, string>
}

function matched(pattern: string, parts: readonly string[]): Record<string, string> | null {
  const wanted = pattern.split('/').filter(Boolean)
  if (wanted.length !== parts.length) return null
  const args: Record<string, string> = {}
  for (const [i, want] of wanted.entries()) {
    const part = parts[i] ?? ''
    if (want.startsWith(':')) args[want.slice(1)] = decodeURIComponent(part)
    else if (want !== part) return null
  }
  return args
}

export function parsePath(path: string): Route {
  const parts = path.split('/').filter(Boolean)
  try {
    for (const page of PAGES) {
      const args = matched(page.path, parts)
      if (args) return { page, args }
    }
  } catch (reason) {
    if (!(reason instanceof URIError)) throw reason // a broken %-escape names no page
  }
  return { page: MISSING, args: {} }
}

export const vehiclePath = (id: string): string => `/vehicles/${encodeURIComponent(id)}`

class Router {
  path = $state('/')
  query = $state.raw(new URLSearchParams())
  route = $derived(parsePath(this.path))

  start(): void {
    this.#read()
    addEventListener('popstate', () => this.#read())
    document.addEventListener('click', (event) => this.#follow(event))
  }

  go(href: string, replace = false): void {
    history[replace ? 'replaceState' : 'pushState'](null, '', href)
    this.#read()
  }

  /** Change query arguments of this page in place; null or '' removes one. */
  set(args: Record<string, string | null>): void {
    const next = new URLSearchParams(this.query)
    for (const [key, value] of Object.entries(args))
      if (value) next.set(key, value)
      else next.delete(key)
    const text = next.toString()
    this.go(text ? `${this.path}?${text}` : this.path, true)
  }

  get(key: string): string {
    return this.query.get(key) ?? ''
  }

  #read(): void {
    this.path = location.pathname
    this.query = new URLSearchParams(location.search)
  }

  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const link = (event.target as Element | null)?.closest('a')
    if (!link || link.target || link.hasAttribute('download')) return
    if (link.origin !== location.origin || link.dataset.external !== undefined) return
    if (link.hash && link.pathname === location.pathname) return
    event.preventDefault()
    this.go(link.pathname + link.search)
    scrollTo(0, 0)
  }
}

export const router = new Router()
