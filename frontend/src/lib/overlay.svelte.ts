// The tenant's overlay: what holds, and what somebody makes of it.
import { api } from './api'
import type { Overlay, OverlayEffect, OverlayVersion } from './types'
import { VersionedText } from './versioned.svelte'

export class OverlayState extends VersionedText<Overlay, OverlayVersion, OverlayEffect> {
  protected readonly name = 'overlay'
  #added = $derived(new Set(this.held?.added))
  #changed = $derived(new Set(this.held?.changed))

  protected read() {
    return api.overlay()
  }
  protected list(cursor: string | null) {
    return api.overlays({ limit: 30, cursor })
  }
  protected one(version: number) {
    return api.overlayVersion(version)
  }
  protected ask(text: string) {
    return api.checkOverlay(text)
  }
  protected write(text: string, note: string, etag: string | null) {
    return api.saveOverlay(text, note, etag)
  }

  /** What the overlay that holds does to a signal. */
  change = (path: string): 'added' | 'changed' | null =>
    this.#added.has(path) ? 'added' : this.#changed.has(path) ? 'changed' : null
}
