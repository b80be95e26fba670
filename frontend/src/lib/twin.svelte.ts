// The latest value of every signal of one vehicle, with a short memory for sparklines.
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

  start(twin: Twin): void {
    const signals: Record<string, Latest> = {}
    for (const [path, { value, time, unit, flagged }] of Object.entries(twin.signals))
      signals[path] = { value, time: Date.parse(time), unit, flagged }
    this.#take(signals)
  }

  apply(event: TwinEvent): void {
    const signals: Record<string, Latest> = {}
    for (const [path, [value, time, flagged = false]] of Object.entries(event.signals))
      signals[path] = { value, time, unit: this.signals[path]?.unit ?? null, flagged }
    this.#take(signals)
  }

  /** Values of the last reports that this tab has seen, oldest first. */
  recent(path: string): readonly number[] {
    return this.#recent.get(path) ?? []
  }

  #take(signals: Record<string, Latest>): void {
    let newest = this.time ?? 0
    for (const [path, { value, time }] of Object.entries(signals)) {
      newest = Math.max(newest, time)
      if (typeof value === 'number') this.#remember(path, value)
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
