// Usage, costs, budgets, prices and quotas, as the API tells them. Amounts and units are decimals as
// text; they become numbers only to be drawn.
import { json, tagged, type Query } from './http'
import type { Page } from './types'

export interface MeterRow {
  name: string
  unit: string
  counted_in: string
  per_unit: number
  adds: 'events' | 'time'
  help: string
}

export interface UsageList {
  items: { start: string; project: string; meter: string; quantity: number }[]
  meters: MeterRow[]
}

export interface StatementLine {
  meter: string
  month: string
  adjustment: boolean
  unit: string
  units: string
  quantity: number
  free: string
  amount: string
  by_project: Record<string, string>
}

export interface Statement {
  tenant: string
  period: string
  currency: string
  decimals: number
  price_book: string
  lines: StatementLine[]
  total: string
  closed_us: number | null
}

export interface Costs {
  statement: Statement
  by_project: Record<string, string>
  by_day: { day: string; meter: string; amount: string }[]
  forecast: {
    total: string
    by_meter: Record<string, string>
    method: string
    hours_seen: number
  } | null
}

export interface StatementHead {
  period: string
  currency: string
  total: string
  closed: string | null
  digest: string
}

export interface Budget {
  id: string
  name: string
  amount: string
  thresholds: number[]
  project: string | null
  meter: string | null
  on_forecast: boolean
  spent: string
  forecast: string | null
  currency: string
  alerts: { kind: string; threshold: number; amount: string; time: string }[]
}

export interface Price {
  tiers: { price: string; up_to: string | null }[]
  free: string
}

export interface PriceBook {
  id: string
  name: string
  currency: string
  decimals: number
  tenant: string | null
  first_month: string
  last_month: string | null
  prices: Record<string, Price>
  created: string
}

export interface Quota {
  name: string
  unit: string
  bound: 'amount' | 'running' | 'rate' | 'day'
  help: string
  value: number | null
  used: number | null
  own: boolean
  changed: string | null
}

const budget = (id: string): string => `/v1/budgets/${encodeURIComponent(id)}`
const tenant = (id: string): string => `/v1/tenants/${encodeURIComponent(id)}`
const book = (id: string): string => `/v1/price-books/${encodeURIComponent(id)}`

export const metering = {
  usage: (query: Query) => json<UsageList>('/v1/usage', { query }),
  costs: (period: string | null) => json<Costs>('/v1/costs', { query: { period } }),
  statements: () => json<Page<StatementHead>>('/v1/statements'),

  budgets: () => json<Page<Budget>>('/v1/budgets'),
  budget: (id: string) => tagged<Budget>(budget(id)),
  addBudget: (body: object) => tagged<Budget>('/v1/budgets', { method: 'POST', json: body }),
  changeBudget: (id: string, body: object, etag: string | null) =>
    tagged<Budget>(budget(id), { method: 'PATCH', json: body, ifMatch: etag }),
  removeBudget: (id: string) => json<void>(budget(id), { method: 'DELETE' }),

  prices: () => json<Page<PriceBook>>('/v1/prices'),
  books: () => json<Page<PriceBook>>('/v1/price-books'),
  addBook: (body: object) => json<PriceBook>('/v1/price-books', { method: 'POST', json: body }),
  endBook: (id: string, last_month: string) =>
    json<PriceBook>(`${book(id)}/end`, { method: 'PUT', json: { last_month } }),
  removeBook: (id: string) => json<void>(book(id), { method: 'DELETE' }),

  quotas: (of: string | null) =>
    json<Page<Quota>>(of === null ? '/v1/quotas' : `${tenant(of)}/quotas`),
  setQuota: (of: string, limit: string, value: number | null) =>
    json<Quota>(`${tenant(of)}/quotas/${limit}`, { method: 'PUT', json: { value } }),
  tenants: () => json<Page<{ id: string; name: string }>>('/v1/tenants', { query: { limit: 200 } }),
}

export const statementUrl = (period: string, kind: 'csv' | 'pdf'): string =>
  `/v1/statements/${period}/${kind}`

/** `2026-11` and the months before it, newest first. */
export function months(now: Date, count: number): string[] {
  return Array.from({ length: count }, (_, i) =>
    new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - i, 1)).toISOString().slice(0, 7),
  )
}

/** An amount with its currency, as people write it. */
export function money(
  amount: string | number,
  currency: string,
  decimals: number,
  locale: string,
): string {
  const value = Number(amount)
  if (!currency) return value.toLocaleString(locale)
  return value.toLocaleString(locale, {
    style: 'currency',
    currency,
    currencyDisplay: 'narrowSymbol',
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  })
}

/** One bar a slot of time: sums of `value` by name, largest names first; the rest are one. */
export function stacked<Row>(
  rows: readonly Row[],
  slots: readonly string[],
  of: (row: Row) => { slot: string; name: string; value: number },
  most: number,
  rest: string,
): { name: string; values: number[] }[] {
  const sums = new Map<string, number[]>()
  const places = new Map(slots.map((slot, i) => [slot, i]))
  for (const row of rows) {
    const { slot, name, value } = of(row)
    const at = places.get(slot)
    if (at === undefined || value === 0) continue
    const values = sums.get(name) ?? slots.map(() => 0)
    values[at] = (values[at] ?? 0) + value
    sums.set(name, values)
  }
  const total = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0)
  const all = [...sums].sort(([, a], [, b]) => total(b) - total(a))
  const shown = all.slice(0, most).map(([name, values]) => ({ name, values }))
  const others = all.slice(most)
  if (others.length > 0)
    shown.push({
      name: rest,
      values: slots.map((_, i) => total(others.map(([, values]) => values[i] ?? 0))),
    })
  return shown
}
