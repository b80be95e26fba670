// Jobs and schedules, as the API tells them, and how a job is followed live.
import { json, tagged, type Query } from './http'
import type { Page } from './types'
import type { Tone } from './tone'

export const STATES = [
  'queued',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'timed-out',
] as const
export type JobState = (typeof STATES)[number]

export interface Job {
  id: string
  project: string
  kind: string
  name: string
  queue: string
  priority: number
  state: JobState
  attempt: number
  retries: number
  progress: number | null
  message: string
  error: string | null
  limit: string | null
  cancelling: boolean
  schedule: string | null
  user: string
  created: string
  ready: string
  started: string | null
  ended: string | null
  seconds: number | null
}

export interface Attempt {
  number: number
  started: string
  ended: string | null
  outcome: string | null
  error: string | null
  limit: string | null
  cpu_seconds: number
  where: string
}

export interface JobDetail extends Job {
  params: Record<string, unknown>
  timeout_s: number
  cpus: number
  memory_mb: number
  backoff_s: number
  result: unknown
  /** [time, value] */
  metrics: Record<string, [string, number][]>
  attempts: Attempt[]
  after: { id: string; name: string; kind: string; state: JobState }[]
}

export interface NewJob {
  kind: string
  params?: Record<string, unknown>
  name?: string
  after?: string[]
  queue?: string
  priority?: number
  retries?: number
  backoff_s?: number
  timeout_s?: number
  cpus?: number
  memory_mb?: number
  project?: string
}

export interface Kind {
  name: string
  help: string
  /** JSON Schema */
  params: Schema
}

export interface Artifact {
  name: string
  attempt: number
  bytes: number
  sha256: string
  media: string
  created: string
}

/** A table of the lake that a job wrote; rows null: an attempt before the last one did. */
export interface JobTable {
  name: string
  mode: string
  rows: number | null
}

export interface Schedule {
  name: string
  cron: string
  timezone: string
  job: NewJob
  enabled: boolean
  overlap: boolean
  next: string | null
  upcoming: string[]
  last: string | null
  last_job: string | null
  user: string
  created: string
}

/** What of JSON Schema the kinds use. */
export interface Schema {
  title?: string
  type?: string
  enum?: (string | number)[]
  anyOf?: Schema[]
  default?: unknown
  $ref?: string
  $defs?: Record<string, Schema>
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
}

const job = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`
const schedule = (name: string): string => `/v1/schedules/${encodeURIComponent(name)}`

export const jobs = {
  kinds: () => json<{ items: Kind[] }>('/v1/job-kinds'),
  list: (query: Query, signal?: AbortSignal) =>
    json<Page<Job>>('/v1/jobs', { query, ...(signal ? { signal } : {}) }),
  one: (id: string) => json<JobDetail>(job(id)),
  submit: (body: NewJob) => json<Job>('/v1/jobs', { method: 'POST', json: body }),
  cancel: (id: string) => json<Job>(`${job(id)}/cancel`, { method: 'POST' }),
  artifacts: (id: string) => json<Page<Artifact>>(`${job(id)}/artifacts`),

  schedules: () => json<Page<Schedule>>('/v1/schedules'),
  schedule: (name: string) => tagged<Schedule>(schedule(name)),
  addSchedule: (body: object) => tagged<Schedule>('/v1/schedules', { method: 'POST', json: body }),
  changeSchedule: (name: string, body: object, etag: string | null) =>
    tagged<Schedule>(schedule(name), { method: 'PUT', json: body, ifMatch: etag }),
  removeSchedule: (name: string) => json<void>(schedule(name), { method: 'DELETE' }),
  upcoming: (line: string, timezone: string, signal: AbortSignal) =>
    json<{ times: string[] }>('/v1/cron', { query: { line, timezone }, signal }),
}

export const jobPath = (id: string): string => `/jobs/${encodeURIComponent(id)}`

export const artifactUrl = (id: string, name: string): string =>
  `${job(id)}/artifacts/${name.split('/').map(encodeURIComponent).join('/')}`

/** The tables that a job wrote, as its result tells; kinds may tell anything there. */
export function tablesOf(one: JobDetail): JobTable[] {
  const told = (one.result as { tables?: unknown } | null)?.tables
  if (!Array.isArray(told)) return []
  return (told as (Partial<JobTable> | null)[])
    .filter((table) => typeof table?.name === 'string')
    .map((table) => ({
      name: table?.name ?? '',
      mode: table?.mode ?? '',
      rows: table?.rows ?? null,
    }))
}

/** The page of SQL, with the first rows of a table ready to be asked for. */
export const tablePath = (name: string): string =>
  `/sql?${new URLSearchParams({ sql: `SELECT * FROM "${name}" LIMIT 100` })}`

export const isOpen = (state: JobState): boolean => state === 'queued' || state === 'running'

export const TONES: Record<JobState, Tone> = {
  queued: 'plain',
  running: 'accent',
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'plain',
  'timed-out': 'warn',
}

/** What was asked for, so that it can be asked for again. */
export const again = (one: JobDetail): NewJob => ({
  kind: one.kind,
  params: one.params,
  name: one.name,
  queue: one.queue,
  priority: one.priority,
  retries: one.retries,
  backoff_s: one.backoff_s,
  timeout_s: one.timeout_s,
  cpus: one.cpus,
  memory_mb: one.memory_mb,
  project: one.project,
})
