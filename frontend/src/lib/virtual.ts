export interface Window {
  first: number
  last: number
  /** px above the first drawn row, and below the last */
  before: number
  after: number
}

/** Which rows of equal height to draw for a scroll position. */
export function rowWindow(
  scroll: number,
  viewport: number,
  rows: number,
  rowHeight: number,
  margin = 8,
): Window {
  const first = Math.max(0, Math.min(rows, Math.floor(scroll / rowHeight) - margin))
  const last = Math.min(rows, Math.ceil((scroll + viewport) / rowHeight) + margin)
  return { first, last, before: first * rowHeight, after: Math.max(0, rows - last) * rowHeight }
}
