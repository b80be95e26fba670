// Numbers and times as people read them. Times are shown in the browser's zone.

export function number(value: number | null | undefined, digits = 0, locale = 'en'): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  return value.toLocaleString(locale, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  })
}

/** 1234567 -> 1.2M; below 10,000 in full. */
export function compact(value: number, locale = 'en'): string {
  if (Math.abs(value) < 10_000) return number(value, 0, locale)
  return value.toLocaleString(locale, { notation: 'compact', maximumFractionDigits: 1 })
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${units[unit]}`
}

export function milliseconds(value: number | null): string {
  if (value === null) return '–'
  if (value < 1000) return `${Math.round(value)} ms`
  if (value < 60_000) return `${(value / 1000).toFixed(1)} s`
  return duration(value / 1000)
}

/** 93784 s -> 1 d 2 h; two units at most. */
export function duration(seconds: number): string {
  const steps: [number, string][] = [
    [86400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]
  let rest = Math.max(0, Math.round(seconds))
  const parts: string[] = []
  for (const [size, unit] of steps) {
    const count = Math.floor(rest / size)
    if (count > 0) parts.push(`${count} ${unit}`)
    rest -= count * size
    if (parts.length === 2) break
  }
  return parts.join(' ') || '0 s'
}

/** 4.2 s; from ten seconds on as `duration`. */
export const seconds = (value: number, locale = 'en'): string =>
  value < 10 ? `${number(value, 1, locale)} s` : duration(value)

const two = (value: number): string => String(value).padStart(2, '0')

function asDate(value: string | number): Date | null {
  const date = new Date(value)
  return Number.isNaN(date.getTime()) ? null : date
}

export function clock(value: string | number | null | undefined, ms = false): string {
  const date = value === null || value === undefined ? null : asDate(value)
  if (!date) return '–'
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  return ms ? `${text}.${String(date.getMilliseconds()).padStart(3, '0')}` : text
}

export function day(value: string | number): string {
  const date = asDate(value)
  if (!date) return '–'
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

export function moment(value: string | number | null | undefined): string {
  return value === null || value === undefined || !asDate(value)
    ? '–'
    : `${day(value)} ${clock(value)}`
}

/** RFC 3339 UTC as `2026-01-02 03:04:05.678`, in UTC or in the browser's zone. */
export function instant(text: string, local: boolean): string {
  const date = asDate(text)
  if (!date) return text
  const shown = local ? new Date(date.getTime() - date.getTimezoneOffset() * 60_000) : date
  return shown.toISOString().slice(0, 23).replace('T', ' ').replace(/\.000$/, '')
}

/** The browser's zone, such as `Asia/Shanghai`. */
export const zoneName = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'

/** Today's times as a clock, others with their day. */
export function recent(value: string | number | null | undefined, now = Date.now()): string {
  if (value === null || value === undefined) return '–'
  return day(value) === day(now) ? clock(value) : moment(value)
}

const SPANS: [number, Intl.RelativeTimeFormatUnit][] = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
]
const WEEK_MS = 7 * 86_400_000

/** How long ago, or how soon, in words: `5 min ago`; beyond a week the day and time. */
export function ago(value: string | number, now: number, locale = 'en'): string {
  const date = asDate(value)
  if (!date) return '–'
  const ms = date.getTime() - now
  if (Math.abs(ms) > WEEK_MS) return moment(value)
  const words = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
  const [span, unit] = SPANS.find(([size]) => Math.abs(ms) >= size) ?? [1000, 'second' as const]
  return words.format(Math.trunc(ms / span), unit)
}

/** A signal value of any type, with sensible digits. */
export function value(content: unknown, locale = 'en'): string {
  if (content === null || content === undefined) return '–'
  if (typeof content === 'number') {
    if (Number.isInteger(content)) return number(content, 0, locale)
    const size = Math.abs(content)
    return number(content, size >= 1000 ? 1 : size >= 10 ? 2 : 3, locale)
  }
  if (Array.isArray(content)) {
    if (content.length === 0) return '[ ]'
    if (content.length > 6) return `[ ${content.length} ]`
    return content.map((one) => value(one, locale)).join(', ')
  }
  if (typeof content === 'object') return JSON.stringify(content)
  return String(content)
}
