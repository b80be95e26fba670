// One server-sent-event stream per tab, with its own reconnect: EventSource gives up on HTTP errors.
import { session } from './session.svelte'
import { api } from './api'
import { Fleet } from './fleet'
import { Tracks } from './tracks'
import type { FleetEvent, LiveStatus, TwinEvent } from './types'
import { withQuery } from './http'

export type Link = 'idle' | 'connecting' | 'open' | 'reconnecting'

const SILENCE_MS = 8_000 // `status` comes each second
const LONGEST_WAIT_MS = 10_000

/** Wait before attempt n (0-based): doubling from half a second, jittered so that tabs spread. */
export function waitBefore(attempt: number, random: number): number {
  return Math.min(500 * 2 ** attempt, LONGEST_WAIT_MS) * (0.75 + random / 2)
}

class Live {
  link = $state<Link>('idle')
  status = $state.raw<LiveStatus | null>(null)
  /** Rises with every change of the fleet; read it to depend on `fleet`. */
  revision = $state(0)
  readonly fleet = new Fleet()
  readonly tracks = new Tracks()

  #source: EventSource | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #watchdog: ReturnType<typeof setInterval> | undefined
  #heard = 0
  #attempt = 0
  #vehicle: string | null = null
  #onTwin: ((event: TwinEvent) => void) | null = null

  start(): void {
    if (this.link !== 'idle') return
    this.link = 'connecting'
    this.#open()
    this.#watchdog = setInterval(() => this.#checkSilence(), 1000)
  }

  stop(): void {
    clearTimeout(this.#timer)
    clearInterval(this.#watchdog)
    this.#source?.close()
    this.#source = null
    this.link = 'idle'
    this.status = null
    this.fleet.vehicles.clear()
    this.tracks.clear()
  }

  /** Also receive the twin of one vehicle; returns the way to stop. */
  watch(vehicle: string, onTwin: (event: TwinEvent) => void): () => void {
    this.#vehicle = vehicle
    this.#onTwin = onTwin
    this.#reopen()
    return () => {
      if (this.#onTwin !== onTwin) return
      this.#vehicle = null
      this.#onTwin = null
      this.#reopen()
    }
  }

  #reopen(): void {
    if (this.link === 'idle') return
    clearTimeout(this.#timer)
    this.#open()
  }

  #open(): void {
    this.#source?.close()
    const source = new EventSource(withQuery('/v1/live', { vehicle: this.#vehicle }))
    this.#source = source
    this.#heard = Date.now()
    const on = <E>(name: string, take: (event: E) => void): void =>
      source.addEventListener(name, (message) => {
        if (source !== this.#source) return
        this.#alive()
        take(JSON.parse((message as MessageEvent<string>).data) as E)
      })
    on<LiveStatus>('status', (status) => (this.status = status))
    on<FleetEvent>('vehicles', (event) => {
      for (const vehicle of this.fleet.apply(event)) this.tracks.add(vehicle)
      for (const id of event.gone ?? []) this.tracks.remove(id)
      this.revision++
    })
    on<TwinEvent>('twin', (event) => this.#onTwin?.(event))
    source.onopen = () => this.#alive()
    source.onerror = () => source === this.#source && this.#retry()
  }

  #alive(): void {
    this.#heard = Date.now()
    this.#attempt = 0
    this.link = 'open'
  }

  #checkSilence(): void {
    if (this.link === 'open' && Date.now() - this.#heard > SILENCE_MS) this.#retry()
  }

  #retry(): void {
    this.#source?.close()
    this.#source = null
    this.link = 'reconnecting'
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#again(), waitBefore(this.#attempt++, Math.random()))
  }

  async #again(): Promise<void> {
    // an event stream hides why it failed: ask whether the session still holds
    try {
      await api.session()
    } catch (reason) {
      if ((reason as { status?: number }).status === 401) {
        session.expired = true
        session.current = null
        return
      }
    }
    if (this.link === 'reconnecting') this.#open()
  }
}

export const live = new Live()
