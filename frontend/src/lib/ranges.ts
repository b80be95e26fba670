import type { Key } from '../i18n/index.svelte'

export interface Range {
  key: Key
  seconds: number
}

export const RANGES: readonly Range[] = [
  { key: 'range.5m', seconds: 300 },
  { key: 'range.15m', seconds: 900 },
  { key: 'range.1h', seconds: 3600 },
  { key: 'range.6h', seconds: 21_600 },
  { key: 'range.24h', seconds: 86_400 },
  { key: 'range.7d', seconds: 604_800 },
]

export const isoTime = (ms: number): string => new Date(ms).toISOString()

/** Zoom [from, to] about `at` by `factor` (< 1 closes in); never below `least` ms wide. */
export function zoomAbout(
  from: number,
  to: number,
  at: number,
  factor: number,
  least: number,
): [number, number] {
  const width = Math.max(least, (to - from) * factor)
  const share = (at - from) / (to - from || 1)
  return [at - width * share, at + width * (1 - share)]
}
