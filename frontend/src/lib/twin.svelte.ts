// The latest value of every signal of one vehicle, with a short memory for sparklines.
import { api } from './api'
import { live } from './live.svelte'
import type { SignalValue, Twin, TwinEvent } from './types'

export interface Latest {
  value: SignalValue
  /** Unix ms */
  time: number
  unit: string | null
  /** outside its type or range */
  flagged: boolean
}

const REMEMBERED = 90

export class TwinState {
  signals = $state.raw<Record<string, Latest>>({})
  /** Unix ms of the newest value */
  time = $state<number | null>(null)
  readonly #recent = new Map<string, number[]>()
  readonly #asked = new Set<string>()

  /** Keep up with a vehicle; returns the way to stop. */
  follow(vehicle: string): () => void {
    const read = (): void =>
      void api.twin(vehicle).then(
        (full) => this.start(full),
        () => undefined, // it has never reported: the page says so
      )
    read()
    return live.watch(vehicle, (event) => {
      if (this.apply(event)) read()
    })
  }

  /** All that the server knows, with units; what has been told since it was asked is newer. */
  start(twin: Twin): void {
    const signals: Record<string, Latest> = {}
    for (const [path, { value, time, unit, flagged }] of Object.entries(twin.signals)) {
      const told = { value, time: Date.parse(time), unit, flagged }
      const known = this.signals[path]
      signals[path] = known && known.time >= told.time ? { ...known, unit } : told
    }
    this.#take(signals)
  }

  /** True where an event tells of signals for the first time: it has no units, and they are not known. */
  apply(event: TwinEvent): boolean {
    const before = this.#asked.size
    const signals: Record<string, Latest> = {}
    for (const [path, [value, time, flagged = false]] of Object.entries(event.signals)) {
      signals[path] = { value, time, unit: this.signals[path]?.unit ?? null, flagged }
      if (!this.signals[path]) this.#asked.add(path)
    }
    this.#take(signals)
    return this.#asked.size > before
  }

  /** Values of the last reports that this tab has seen, oldest first. */
  recent(path: string): readonly number[] {
    return this.#recent.get(path) ?? []
  }

  #take(signals: Record<string, Latest>): void {
    let newest = this.time ?? 0
    for (const [path, { value, time }] of Object.entries(signals)) {
      newest = Math.max(newest, time)
      if (typeof value === 'number' && time !== this.signals[path]?.time) this.#remember(path, value)
    }
    this.signals = { ...this.signals, ...signals }
    if (newest > 0) this.time = newest
  }

  #remember(path: string, value: number): void {
    const values = this.#recent.get(path) ?? []
    values.push(value)
    if (values.length > REMEMBERED) values.shift()
    this.#recent.set(path, values)
  }
}
