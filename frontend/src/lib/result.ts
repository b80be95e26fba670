// Turns a query's result into plottable columns, and into files.
import type { Cell, Column, QueryResult } from './types'

export const isTime = (column: Column): boolean => /TIMESTAMP|DATE/i.test(column.type)
export const isNumber = (column: Column): boolean =>
  /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|U?INT\d*|(HALF)?FLOAT\d*|REAL|DOUBLE|DECIMAL.*)$/i.test(column.type)

/** `timestamp[us, tz=UTC]` -> `timestamp`, `list<item: float>` -> `float[]`. */
export function typeName(type: string): string {
  const list = /^(?:large_)?list<\w+: (.*?)(?: not null)?>$/i.exec(type)
  if (list?.[1]) return `${typeName(list[1])}[]`
  return type.toLowerCase().replace(/^(timestamp|date32|date64|time64|duration)\[.*\]$/, '$1').replace(/^date(32|64)$/, 'date')
}

/** Text such as `2026-01-02 03:04:05+00` or RFC 3339 -> Unix seconds; UTC when no zone is given. */
export function unixSeconds(text: string): number | null {
  let iso = text.trim().replace(' ', 'T')
  if (/[+-]\d\d$/.test(iso) && iso.includes('T')) iso += ':00'
  if (iso.includes('T') && !/(Z|[+-]\d\d:\d\d)$/.test(iso)) iso += 'Z'
  const ms = Date.parse(iso)
  return Number.isNaN(ms) ? null : ms / 1000
}

export function plotNumber(cell: Cell | undefined, column: Column): number | null {
  if (cell === null || cell === undefined) return null
  if (isTime(column)) return typeof cell === 'number' ? cell : unixSeconds(String(cell))
  const number = Number(cell)
  return Number.isFinite(number) ? number : null
}

export interface PlotChoice {
  x: number
  ys: number[]
}

/** What to draw when nobody has chosen: over time if there is one, else over the first number. */
export function plotChoice(columns: Column[]): PlotChoice | null {
  const numbers = columns.flatMap((column, i) => (isNumber(column) ? [i] : []))
  const time = columns.findIndex(isTime)
  const x = time >= 0 ? time : (numbers[0] ?? -1)
  const ys = numbers.filter((i) => i !== x).slice(0, 6)
  return x >= 0 && ys.length > 0 ? { x, ys } : null
}

/** Columns sorted by x, as uPlot wants them; rows without x are left out. */
export function plotData(result: QueryResult, choice: PlotChoice): (number | null)[][] {
  const column = result.columns[choice.x]
  if (!column) return []
  const rows = result.rows
    .map((row) => ({ row, x: plotNumber(row[choice.x], column) }))
    .filter((one): one is { row: Cell[]; x: number } => one.x !== null)
    .sort((a, b) => a.x - b.x)
  const ys = choice.ys.map((y) =>
    rows.map(({ row }) => plotNumber(row[y], result.columns[y] ?? { name: '', type: '' })),
  )
  return [rows.map(({ x }) => x), ...ys]
}

const FAR_SMALLER = 20

/** Columns far smaller than the largest would be flat lines: they get the right-hand scale. */
export function scalesBySize(columns: readonly (number | null)[][]): ('y' | 'y2')[] {
  const sizes = columns.map((values) =>
    values.reduce<number>((most, value) => Math.max(most, Math.abs(value ?? 0)), 0),
  )
  const largest = Math.max(0, ...sizes)
  return sizes.map((size) => (size > 0 && size * FAR_SMALLER < largest ? 'y2' : 'y'))
}
