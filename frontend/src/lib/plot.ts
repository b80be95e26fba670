// uPlot options in the console's look. Times are Unix seconds on the x scale.
import uPlot from 'uplot'

const css = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** Distinct in both themes and for colour-blind eyes; used in this order. */
export const SERIES_COLOURS = ['#0e8fb5', '#d97706', '#7c6fe0', '#199c74', '#d1477a', '#8a8f3c']

export const seriesColour = (index: number): string =>
  SERIES_COLOURS[index % SERIES_COLOURS.length] ?? '#0e8fb5'

export function axis(side: 'x' | 'y'): uPlot.Axis {
  return {
    stroke: css('--text-3'),
    font: `11px ${css('--font')}`,
    grid: { stroke: css('--line'), width: 1 },
    ticks: { stroke: css('--line'), width: 1, size: 4 },
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
