// What an entry of the audit changed, field by field.
import type { Facts } from './access'

export interface Change {
  field: string
  /** undefined = the field was not there */
  before: unknown
  after: unknown
  /** members of lists that came and went; null where the values are no lists */
  gone: string[] | null
  come: string[] | null
}

export const differs = (row: Change): boolean =>
  JSON.stringify(row.before) !== JSON.stringify(row.after)
const words = (list: readonly unknown[]): string[] => list.map((one) => factText(one))

/** A value as one line of text; a missing one is empty. */
export function factText(value: unknown): string {
  if (value === undefined) return ''
  if (value === null) return '–'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Fields of both sides in order of name: those that differ first. */
export function changes(before: Facts | null, after: Facts | null): Change[] {
  const fields = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].sort()
  const rows = fields.map((field): Change => {
    const [old, now] = [before?.[field], after?.[field]]
    const lists = Array.isArray(old) && Array.isArray(now)
    return {
      field,
      before: old,
      after: now,
      gone: lists ? words(old).filter((one) => !words(now).includes(one)) : null,
      come: lists ? words(now).filter((one) => !words(old).includes(one)) : null,
    }
  })
  return [...rows.filter(differs), ...rows.filter((row) => !differs(row))]
}
