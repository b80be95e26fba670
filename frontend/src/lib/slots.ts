// Which signals are plotted together, as it stands in the address: `a~b,c` is a and b in one plot.

export type Slot = readonly string[]

export const MOST_PLOTS = 8
export const MOST_TOGETHER = 3

export function parseSlots(text: string): Slot[] {
  return text
    .split(',')
    .map((slot) => [...new Set(slot.split('~').filter(Boolean))].slice(0, MOST_TOGETHER))
    .filter((slot) => slot.length > 0)
    .slice(0, MOST_PLOTS)
}

export const slotsText = (slots: readonly Slot[]): string =>
  slots.map((slot) => slot.join('~')).join(',')

/** `Path[3]` -> its array and its zero-based place there. */
export function elementOf(path: string): { array: string; index: number } | null {
  const found = /^(.+)\[(\d+)\]$/.exec(path)
  return found?.[1] ? { array: found[1], index: Number(found[2]) } : null
}

/** The first element of an array that is not yet in use. */
export function freeElement(array: string, count: number, used: readonly string[]): string {
  for (let i = 0; i < count; i++) if (!used.includes(`${array}[${i}]`)) return `${array}[${i}]`
  return `${array}[0]`
}

export interface Span {
  /** width in s that follows the present, or fixed ends in Unix ms */
  seconds: number
  from: number | null
  to: number | null
}

/** `range=3600`, or `from=…&to=…` when somebody has zoomed. */
export function parseSpan(range: string, from: string, to: string): Span {
  const seconds = Number(range) > 0 ? Math.min(Number(range), 366 * 86_400) : 900
  const [start, end] = [Number(from), Number(to)]
  if (!from || !to || !(end > start)) return { seconds, from: null, to: null }
  return { seconds, from: start, to: end }
}
