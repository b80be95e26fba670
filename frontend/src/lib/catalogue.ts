// The catalogue of signals: read whole, searched here, as a list or as a tree by branch.
import { api } from './api'
import { unitName } from './signals'
import type { CatalogueSignal } from './types'

const PAGE = 500

export interface Wanted {
  q: string
  kind: string
  datatype: string
  unit: string
  model: string
  origin: string
  reported: string
}
export const FILTERS = ['q', 'kind', 'datatype', 'unit', 'model', 'origin', 'reported'] as const
/** The value of `unit` that means: signals without one. */
export const NO_UNIT = 'none'

export interface Row {
  path: string
  /** the last step of the path */
  name: string
  /** steps below `Vehicle`: 0 for what stands right under it */
  depth: number
  /** null for a branch */
  signal: CatalogueSignal | null
  open: boolean
  /** signals below a branch, and how many of them were ever reported */
  count: number
  reported: number
  last: string | null
}

/** All signals, in order of path; `signal` ends it. */
export async function allSignals(signal: AbortSignal): Promise<CatalogueSignal[]> {
  const found: CatalogueSignal[] = []
  let cursor: string | null = null
  do {
    const page = await api.signals({ limit: PAGE, cursor }, signal)
    found.push(...page.items)
    cursor = page.next_cursor
  } while (cursor)
  return found
}

/** `0 … 250`, open ends as `…`; the allowed values where there are some; else empty. */
export function rangeText(one: Pick<CatalogueSignal, 'min' | 'max' | 'allowed'>): string {
  if (one.allowed.length) return one.allowed.join(', ')
  if (one.min !== null && one.max !== null) return `${figure(one.min)} … ${figure(one.max)}`
  if (one.min !== null) return `≥ ${figure(one.min)}`
  return one.max === null ? '' : `≤ ${figure(one.max)}`
}

/** A limit with a real minus sign; never in powers of ten. */
const figure = (value: number): string => String(value).replace('-', '−')

export const wordsOf = (text: string): string[] => text.toLowerCase().split(/\s+/).filter(Boolean)

export function matches(one: CatalogueSignal, wanted: Wanted): boolean {
  if (wanted.kind && one.kind !== wanted.kind) return false
  if (wanted.datatype && one.datatype !== wanted.datatype) return false
  if (wanted.unit && (one.unit ?? NO_UNIT) !== wanted.unit) return false
  if (wanted.model && !one.models.includes(wanted.model)) return false
  if (wanted.origin && one.origin !== wanted.origin) return false
  if (wanted.reported && (one.vehicles > 0) !== (wanted.reported === 'true')) return false
  const words = wordsOf(wanted.q)
  if (!words.length) return true
  const text = [
    one.path,
    one.description ?? '',
    one.datatype,
    one.unit ?? '',
    unitName(one.unit),
    rangeText(one),
    one.models.join(' '),
  ]
    .join(' ')
    .toLowerCase()
  return words.every((word) => text.includes(word))
}

export const listRows = (signals: readonly CatalogueSignal[]): Row[] =>
  signals.map((signal) => leaf(signal, 0))

function leaf(signal: CatalogueSignal, depth: number): Row {
  const name = signal.path.slice(signal.path.lastIndexOf('.') + 1)
  const reported = signal.vehicles > 0 ? 1 : 0
  return {
    path: signal.path,
    name,
    depth,
    signal,
    open: false,
    count: 1,
    reported,
    last: signal.last_seen,
  }
}

/** Branches and the signals of open ones, from signals in order of path, which keeps each branch
 * together: a dot comes before every letter and digit. */
export function treeRows(
  signals: readonly CatalogueSignal[],
  isOpen: (path: string) => boolean,
): Row[] {
  const rows: Row[] = []
  let above: Row[] = [] // the branches that hold the signal at hand
  for (const signal of signals) {
    const steps = signal.path.split('.')
    above = above.filter((branch) => signal.path.startsWith(`${branch.path}.`))
    for (let depth = above.length; depth < steps.length - 2; depth++) {
      const path = steps.slice(0, depth + 2).join('.')
      const branch: Row = {
        path,
        name: steps[depth + 1] ?? '',
        depth,
        signal: null,
        open: isOpen(path),
        count: 0,
        reported: 0,
        last: null,
      }
      if (above.every((one) => one.open)) rows.push(branch)
      above.push(branch)
    }
    const row = leaf(signal, above.length)
    for (const branch of above) {
      branch.count++
      branch.reported += row.reported
      if (row.last && (!branch.last || row.last > branch.last)) branch.last = row.last
    }
    if (above.every((one) => one.open)) rows.push(row)
  }
  return rows
}

/** The branches above a path, the highest first. */
export function branchesOf(path: string): string[] {
  const steps = path.split('.')
  return steps.slice(2).map((_, at) => steps.slice(0, at + 2).join('.'))
}

/** The row that a key leads to, or what it does with this one; null where it means nothing. */
export function keyStep(
  key: string,
  rows: readonly Row[],
  at: number,
  page: number,
): { to: number } | 'open' | 'close' | null {
  const last = rows.length - 1
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last }[key]
  if (to !== undefined) return { to: Math.max(0, Math.min(last, to)) }
  const row = rows[at]
  if (!row) return null
  if (key === 'ArrowRight' && !row.signal) return row.open ? { to: Math.min(last, at + 1) } : 'open'
  if (key !== 'ArrowLeft') return null
  if (!row.signal && row.open) return 'close'
  const parent = rows.findLastIndex((one, i) => i < at && !one.signal && one.depth < row.depth)
  return parent < 0 ? null : { to: parent }
}

/** An entry of an overlay to begin with: the signal as it is, to be narrowed. */
export function entryFor(one: CatalogueSignal): string {
  const lines = [`${one.path}:`, `  type: ${one.kind}`]
  if (one.min !== null) lines.push(`  min: ${one.min}`)
  if (one.max !== null) lines.push(`  max: ${one.max}`)
  if (one.allowed.length)
    lines.push(`  allowed: [${one.allowed.map((value) => JSON.stringify(value)).join(', ')}]`)
  return `${lines.join('\n')}\n`
}
