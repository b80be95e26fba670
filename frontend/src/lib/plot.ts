// uPlot options in the console's look. Times are Unix seconds on the x scale.
import uPlot from 'uplot'
import type { Series } from './types'

const css = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** A colour as the theme in force has it: a canvas does not know `light-dark()`. */
function colour(name: string): string {
  const probe = document.createElement('i')
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const told = getComputedStyle(probe).color
  probe.remove()
  return told
}

/** Distinct in both themes and for colour-blind eyes; used in this order. */
export const SERIES_COLOURS = ['#0e8fb5', '#d97706', '#7c6fe0', '#199c74', '#d1477a', '#8a8f3c']

export const seriesColour = (index: number): string =>
  SERIES_COLOURS[index % SERIES_COLOURS.length] ?? '#0e8fb5'

export function axis(side: 'x' | 'y'): uPlot.Axis {
  return {
    stroke: colour('--text-3'),
    font: `11px ${css('--font')}`,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1, size: 4 },
    ...(side === 'y' ? { size: 56, gap: 4 } : { gap: 4, size: 40 }),
  }
}

/** 24-hour time labels; uPlot's own are the American ones. */
export const TIME_LABELS: uPlot.Axis.Values = [
  [3600 * 24 * 365, '{YYYY}', null, null, null, null, null, null, 1],
  [3600 * 24 * 28, '{YYYY}-{MM}', null, null, null, null, null, null, 1],
  [3600 * 24, '{MM}-{DD}', '\n{YYYY}', null, null, null, null, null, 1],
  [3600, '{HH}:{mm}', '\n{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, 1],
  [60, '{HH}:{mm}', '\n{MM}-{DD}', null, '\n{MM}-{DD}', null, null, null, 1],
  [1, '{HH}:{mm}:{ss}', null, null, null, null, null, null, 1],
  [0.001, '{ss}.{fff}', null, null, null, null, null, null, 1],
]

export function translucent(colour: string, alpha: number): string {
  return `${colour}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, '0')}`
}

/** Signals of one unit share a scale; a second unit has its own, on the right. */
export function scaleNames(units: readonly (string | null | undefined)[]): ('y' | 'y2')[] {
  return units.map((unit) => ((unit ?? '') === (units[0] ?? '') ? 'y' : 'y2'))
}

/** Limits of a scale: some air around the values, and a flat line in the middle. */
export function limits(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null) return [0, 1]
  const air = high > low ? (high - low) * 0.08 : Math.max(1, Math.abs(low) * 0.02)
  // values that never go below zero get no negative room
  return [low >= 0 ? Math.max(0, low - air) : low - air, high + air]
}

/** Times in s, then minimum, maximum and mean of each signal by its factor, on the same times. */
export function alignSeries(
  all: readonly (Series | undefined)[],
  factors: readonly number[] = [],
): uPlot.AlignedData {
  const tables = all.map((one, i): uPlot.AlignedData => {
    if (!one) return [[], [], [], []]
    const factor = factors[i] ?? 1
    const scaled = (values: (number | null)[]): (number | null)[] =>
      factor === 1 ? values : values.map((value) => (value === null ? null : value * factor))
    return [one.time_ms.map((ms) => ms / 1000), scaled(one.min), scaled(one.max), scaled(one.mean)]
  })
  return tables.length === 1 && tables[0] ? tables[0] : uPlot.join(tables)
}
