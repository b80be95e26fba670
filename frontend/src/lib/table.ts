import type { Snippet } from 'svelte'

export type Cell = string | number | null | undefined
export type Order = 'ascending' | 'descending'

/** One column of a DataTable; `Row` is what the list holds. */
export interface Column<Row> {
  key: string
  label: string
  /** what the cell says, if no snippet draws it */
  text?: (row: Row) => string | null | undefined
  cell?: Snippet<[Row]>
  /** a name that the server sorts by, or what the table itself sorts by */
  sort?: string | ((row: Row) => Cell)
  /** the order of the first click; ascending if not said */
  order?: Order
  right?: boolean
  mono?: boolean
  muted?: boolean
  /** left out where the table is narrower than a tablet's page */
  wide?: boolean
  /** long text may break into lines */
  wrap?: boolean
}

export interface Sorting {
  key: string
  order: Order
}

/** A click on a column's head: its first order, the other one, then none. */
export function nextSorting(now: Sorting | null, key: string, first: Order): Sorting | null {
  if (now?.key !== key) return { key, order: first }
  if (now.order !== first) return null
  return { key, order: first === 'ascending' ? 'descending' : 'ascending' }
}

/** Sorted copy; rows without a value come last in both orders, equal ones keep their places. */
export function sorted<Row>(rows: readonly Row[], by: (row: Row) => Cell, order: Order): Row[] {
  const sign = order === 'ascending' ? 1 : -1
  return [...rows].sort((a, b) => {
    const [x, y] = [by(a) ?? null, by(b) ?? null]
    if (x === null || y === null) return Number(x === null) - Number(y === null)
    if (typeof x === 'number' && typeof y === 'number') return sign * (x - y)
    return sign * String(x).localeCompare(String(y), undefined, { numeric: true })
  })
}

const OPENERS = 'a[href], button:not(:disabled)'
const TYPING = 'input, select, textarea'

/** Arrow keys go through the rows of a table, and Left and Right through the controls of one. */
export function moveInRows(event: KeyboardEvent): void {
  const from = event.target as HTMLElement
  const row = from.closest('tr')
  if (!row?.parentElement || from.matches(TYPING) || event.ctrlKey || event.altKey || event.metaKey)
    return
  const controls = (one: Element): HTMLElement[] => [...one.querySelectorAll<HTMLElement>(OPENERS)]
  const place = controls(row).indexOf(from)
  let to: HTMLElement | undefined
  if (event.key === 'ArrowLeft') to = controls(row)[place - 1]
  else if (event.key === 'ArrowRight') to = controls(row)[place + 1]
  else {
    const rows = [...row.parentElement.children].filter((one) => controls(one).length > 0)
    const at = rows.indexOf(row)
    const wanted = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key]
    const target = wanted === undefined ? undefined : rows[wanted]
    if (target) to = controls(target)[place] ?? controls(target)[0]
  }
  if (!to) return
  event.preventDefault()
  to.focus()
}
