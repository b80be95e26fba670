// Campaigns as the API tells them: their states and versions, progress, dry runs, what was collected.
import type { CampaignDocument, Partition } from './campaign-document'
import { json, tagged, type Query } from './http'
import type { Page } from './types'
import type { Tone } from './tone'

export const STATES = ['draft', 'approved', 'running', 'paused', 'ended', 'expired'] as const
export type CampaignState = (typeof STATES)[number]

export const TONES: Record<CampaignState, Tone> = {
  draft: 'plain',
  approved: 'accent',
  running: 'good',
  paused: 'warn',
  ended: 'plain',
  expired: 'plain',
}

/** Which vehicles: all that is given must hold; labels are `key` or `key:value`. */
export interface Target {
  vehicles: string[]
  models: string[]
  labels: string[]
  percent: number
}

export const everywhere = (): Target => ({ vehicles: [], models: [], labels: [], percent: 100 })

/** What is wrong with a field; `position` is the 0-based character of an expression. */
export interface Finding {
  field: string
  reason: string
  position: number | null
}

/** Times as people name them in a trigger: 2500 ms as 2.5 s, 90000 as 90 s, 3600000 as 1 h. */
export function span(ms: number): string {
  if (ms < 1000) return `${ms} ms`
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000} h`
  if (ms % 60_000 === 0 && ms >= 120_000) return `${ms / 60_000} min`
  return `${Number((ms / 1000).toFixed(2))} s`
}

export interface Campaign {
  id: string
  name: string
  state: CampaignState
  version: number
  approved_version: number | null
  running_version: number | null
  next_version: number | null
  next_percent: number
  actor: string
  created: string
  updated: string
  ended: string | null
}

export interface CampaignVersion {
  version: number
  document: CampaignDocument
  target: Target
  note: string
  actor: string
  created: string
  approver: string | null
  approved: string | null
}

export interface Used {
  path: string
  datatype: string
  unit: string | null
  allowed: string[]
  collected: boolean
  read: boolean
}

export interface Check {
  errors: Finding[]
  remarks: Finding[]
  signals: Used[]
}

export interface Imported {
  document: CampaignDocument
  remarks: Finding[]
}

/** A campaign with its newest version and the one that vehicles have. */
export interface CampaignDetail {
  campaign: Campaign
  newest: CampaignVersion
  running: CampaignVersion | null
}

/** `per_day` is of the whole target, though only `vehicles_read` of it were read. */
export interface DryRun {
  start: string
  end: string
  vehicles_target: number
  vehicles_read: number
  vehicles_triggered: number
  rows: number
  events: number
  samples: number
  bytes: number
  messages: number
  per_day: { events: number; samples: number; bytes: number; messages: number }
  /** of 30 such days */
  cost: string | null
  currency: string
  complete: boolean
  remarks: string[]
  vehicles: Tried[]
}

export interface Tried {
  vehicle: string
  rows: number
  events: number
  samples: number
  bytes: number
  messages: number
  first: string | null
  last: string | null
}

export interface Totals {
  events: number
  samples: number
  bytes: number
  last: string | null
}

export interface VehicleProgress {
  vehicle: string
  wanted: number | null
  put: number | null
  held: number | null
  result: '' | 'active' | 'paused' | 'waiting' | 'refused'
  reason: string
  told: string | null
  counters: Record<string, number>
  /** what it was asked for and has not sent all of, up to when */
  forwarding: { partition: string; until: string }[]
  collected: Totals
}

export interface Progress {
  target: number
  put: number
  holding: number
  waiting: number
  refused: number
  reasons: { reason: string; vehicles: number }[]
  problems: { reason: string; vehicles: number }[]
  by_version: { version: number; vehicles: number }[]
  collected: Totals
}

export interface CollectedEvent {
  version: number
  event: number
  vehicle: string
  time: string
  received: string
  partition: string
  part: number
  parts: number
  samples: number
  bytes: number
  dimensions: Record<string, unknown>
  fired: string[]
  frames: string[]
}

/** What vehicles are asked for: null is every partition, up to now, every vehicle that holds it. */
export interface Ask {
  partition: string | null
  until: string | null
  vehicle: string | null
}

const one = (id: string): string => `/v1/campaigns/${encodeURIComponent(id)}`

export const campaignPath = (id: string): string => `/campaigns/${encodeURIComponent(id)}`

export const campaigns = {
  list: (query: Query, signal?: AbortSignal) =>
    json<Page<Campaign>>('/v1/campaigns', { query, ...(signal ? { signal } : {}) }),
  check: (document: CampaignDocument, signal?: AbortSignal) =>
    json<Check>('/v1/campaigns/check', {
      method: 'POST',
      json: { document },
      ...(signal ? { signal } : {}),
    }),
  take: (document: unknown, compatibility: boolean) =>
    json<Imported>('/v1/campaigns/import', { method: 'POST', json: { document, compatibility } }),
  create: (document: CampaignDocument, target: Target) =>
    json<CampaignDetail>('/v1/campaigns', { method: 'POST', json: { document, target } }),
  one: (id: string) => tagged<CampaignDetail>(one(id)),
  save: (id: string, document: CampaignDocument, target: Target, etag: string | null) =>
    json<CampaignDetail>(one(id), { method: 'PUT', json: { document, target }, ifMatch: etag }),
  versions: (id: string) => json<{ items: CampaignVersion[] }>(`${one(id)}/versions`),
  approve: (id: string, version: number) =>
    json<Campaign>(`${one(id)}/approve`, { method: 'POST', json: { version } }),
  start: (id: string, version: number, percent: number) =>
    json<Campaign>(`${one(id)}/start`, { method: 'POST', json: { version, percent } }),
  act: (id: string, what: 'pause' | 'resume' | 'end') =>
    json<Campaign>(`${one(id)}/${what}`, { method: 'POST' }),
  forward: (id: string, ask: Ask) =>
    json<{ vehicles: number }>(`${one(id)}/forward`, { method: 'POST', json: ask }),
  remove: (id: string) => json<void>(one(id), { method: 'DELETE' }),
  dryRun: (body: { document: CampaignDocument; target: Target; hours: number }) =>
    json<DryRun>('/v1/campaigns/dry-run', { method: 'POST', json: body }),
  progress: (id: string) => json<Progress>(`${one(id)}/progress`),
  vehicles: (id: string, query: Query, signal?: AbortSignal) =>
    json<Page<VehicleProgress>>(`${one(id)}/vehicles`, { query, ...(signal ? { signal } : {}) }),
  events: (id: string, query: Query, signal?: AbortSignal) =>
    json<Page<CollectedEvent>>(`${one(id)}/events`, { query, ...(signal ? { signal } : {}) }),
}

/** Partitions of what vehicles hold now that stay there until they are asked for. */
export function onRequest(campaign: Campaign, versions: readonly CampaignVersion[]): Partition[] {
  const held = versions.filter(
    ({ version }) => version === campaign.running_version || version === campaign.next_version,
  )
  const parts = held
    .flatMap(({ document }) => document.partitions ?? [])
    .filter(({ upload }) => upload === 'on_request')
  return [...new Map(parts.map((part) => [part.id, part])).values()]
}

export const isOpen = (state: CampaignState): boolean => state !== 'ended' && state !== 'expired'

export type Step = 'approve' | 'start' | 'pause' | 'resume' | 'end' | 'delete'

export interface NextStep {
  step: Step
  /** what must be allowed */
  needs: string
  version: number
  /** the one that leads on */
  main: boolean
}

/** What can be done with a campaign that stands so, what leads on first. */
export function nextSteps(one: Campaign): NextStep[] {
  const steps: NextStep[] = []
  const add = (step: Step, needs: string, version: number, main = false): void => {
    steps.push({ step, needs, version, main })
  }
  const approved = one.approved_version
  const runs = one.state === 'running' || one.state === 'paused'
  if (isOpen(one.state) && approved !== one.version)
    add('approve', 'campaigns:approve', one.version, true)
  if (one.state === 'paused') add('resume', 'campaigns:write', one.running_version ?? 0, true)
  const startable = one.state === 'approved' || runs
  if (startable && approved !== null && approved !== one.running_version)
    add('start', 'campaigns:write', approved, true)
  if (one.state === 'running') add('pause', 'campaigns:write', one.running_version ?? 0)
  if (runs) add('end', 'campaigns:write', one.running_version ?? 0)
  else add('delete', 'campaigns:write', one.version)
  return steps
}

/** How a vehicle stands to a campaign, in one word. */
export type Standing = 'holding' | 'paused' | 'waiting' | 'refused' | 'older' | 'leaving'

export function standing(one: VehicleProgress): Standing {
  if (one.wanted === null) return one.result === 'paused' ? 'paused' : 'leaving'
  if (one.result === 'refused' && one.held === one.wanted) return 'refused'
  if (one.held === one.wanted) return one.result === 'active' ? 'holding' : 'waiting'
  return one.held === null ? 'waiting' : 'older'
}

export const STANDING_TONES: Record<Standing, Tone> = {
  holding: 'good',
  paused: 'warn',
  waiting: 'plain',
  refused: 'bad',
  older: 'warn',
  leaving: 'plain',
}

const WIDTHS_S = [60, 300, 900, 3600, 21_600, 86_400, 604_800]
const MOST_SLOTS = 48

/** Events in even slots of time from the first to `now` (Unix ms): beginnings in s, and how many. */
export function overTime(
  events: readonly Pick<CollectedEvent, 'vehicle' | 'version' | 'event' | 'time'>[],
  now: number,
): { times: number[]; counts: number[]; width: number } {
  // parts and stores of one event are one event
  const each = new Map(events.map((e) => [`${e.vehicle}/${e.version}/${e.event}`, e.time]))
  const seconds = [...each.values()].map((time) => Date.parse(time) / 1000)
  if (seconds.length === 0) return { times: [], counts: [], width: 0 }
  const first = Math.min(...seconds)
  const last = Math.max(now / 1000, ...seconds)
  const width =
    WIDTHS_S.find((one) => (last - first) / one < MOST_SLOTS - 1) ?? WIDTHS_S.at(-1) ?? 604_800
  const start = Math.floor(first / width) * width
  const counts = Array.from({ length: Math.floor((last - start) / width) + 1 }, () => 0)
  for (const one of seconds) {
    const at = Math.floor((one - start) / width)
    counts[at] = (counts[at] ?? 0) + 1
  }
  return { times: counts.map((_, i) => start + i * width), counts, width }
}
