// The tenant's overlay: what holds, and what somebody makes of it.
import { api, ApiProblem } from './api'
import type { Overlay, OverlayEffect, OverlayVersion } from './types'

const REST_MS = 350

export class OverlayState {
  held = $state.raw<Overlay | null>(null)
  versions = $state.raw<OverlayVersion[]>([])
  text = $state('')
  note = $state('')
  /** null while it is not known */
  effect = $state.raw<OverlayEffect | null>(null)
  problem = $state.raw<ApiProblem | null>(null)
  saving = $state(false)
  /** an earlier version that is looked at */
  looked = $state.raw<Overlay | null>(null)
  #etag: string | null = null
  #next: string | null = null
  #waiting: ReturnType<typeof setTimeout> | undefined
  more = $state(false)

  changed = $derived(this.held !== null && this.text !== this.held.text)
  /** somebody saved another since */
  late = $derived(this.problem?.status === 412)

  #added = $derived(new Set(this.held?.added))
  #changed = $derived(new Set(this.held?.changed))

  /** What the overlay that holds does to a signal. */
  change = (path: string): 'added' | 'changed' | null =>
    this.#added.has(path) ? 'added' : this.#changed.has(path) ? 'changed' : null

  /** What holds now; a text that somebody has changed stays. */
  load = async (): Promise<void> => {
    const keep = this.changed
    await this.#try(async () => {
      const { value, etag } = await api.overlay()
      this.held = value
      this.#etag = etag
      if (keep) this.#check()
      else this.put(value.text)
      await this.#list(null)
    })
  }

  older = (): Promise<void> => this.#try(() => this.#list(this.#next))

  look = (version: number): Promise<void> =>
    this.#try(async () => {
      this.looked = version === this.held?.version ? this.held : await api.overlayVersion(version)
    })

  /** Another text; it is checked when typing rests. */
  put = (text: string): void => {
    this.text = text
    this.effect = null
    clearTimeout(this.#waiting)
    if (this.changed) this.#waiting = setTimeout(this.#check, REST_MS)
  }

  /** The number of the version that holds now; null where it was not saved. */
  save = async (): Promise<number | null> => {
    this.saving = true
    let done: OverlayEffect | null = null
    await this.#try(async () => {
      done = await api.saveOverlay(this.text, this.note, this.#etag)
      this.held = null
      this.note = ''
    })
    this.saving = false
    if (done) await this.load()
    return (done as OverlayEffect | null)?.version ?? null
  }

  stop = (): void => clearTimeout(this.#waiting)

  #check = (): void => {
    const asked = this.text
    void this.#try(async () => {
      const told = await api.checkOverlay(asked)
      if (asked === this.text) this.effect = told
    })
  }

  async #list(cursor: string | null): Promise<void> {
    const page = await api.overlays({ limit: 30, cursor })
    this.versions = cursor ? [...this.versions, ...page.items] : page.items
    this.#next = page.next_cursor
    this.more = page.next_cursor !== null
  }

  async #try(step: () => Promise<void>): Promise<void> {
    try {
      await step()
      this.problem = null
    } catch (reason) {
      if (!(reason instanceof ApiProblem)) throw reason
      this.problem = reason
    }
  }
}
