// What somebody writes and has not saved yet: kept for them while the browser's tab is open.
import { session } from './session.svelte'

const PREFIX = 'carcloud.draft.'

/** Nobody finds what another person, or the same one in another tenant, has written. */
const keyOf = (name: string): string =>
  [PREFIX + (session.current?.tenant ?? ''), session.current?.user ?? '', name].join('/')

export function draft<Kept>(name: string): Kept | null {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(name)) ?? 'null') as Kept | null
  } catch {
    return null // storage may be blocked
  }
}

/** null: there is nothing to keep any more. */
export function keepDraft(name: string, kept: unknown): void {
  try {
    if (kept === null) sessionStorage.removeItem(keyOf(name))
    else sessionStorage.setItem(keyOf(name), JSON.stringify(kept))
  } catch {
    // blocked or full: it lasts as long as the page
  }
}

/** Who signs out leaves nothing behind. */
export function forgetDrafts(): void {
  try {
    for (const key of Object.keys(sessionStorage))
      if (key.startsWith(PREFIX)) sessionStorage.removeItem(key)
  } catch {
    // blocked: there is nothing
  }
}
