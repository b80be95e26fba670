// What the HTTP API returns. Times are RFC 3339 UTC text unless the name ends in `_ms` (Unix ms).

export interface Page<T> {
  items: T[]
  next_cursor: string | null
  total: number | null
}

export interface Session {
  user: string
  tenant: string
  /** allowed on the whole tenant */
  actions: string[]
  /** allowed in a part: `project:NAME` or `labels:key=value,…` */
  parts: { scope: string; actions: string[] }[]
  expires: string | null
  /** where one may work */
  tenants: { id: string; name: string }[]
  /** the tenant asks for a second factor: nothing is allowed before one is set up */
  unproved: boolean
}

export interface UiSettings {
  tiles: string
  tiles_credit: string
  version: string
  demo: boolean
  /** under which people reach the console */
  url: string
  /** anybody may make a tenant */
  registration: boolean
}

export interface Problem {
  code: string
  since: string
  detail: string
}

export interface Role {
  role: string
  instance: string
  pid: number
  uptime_s: number
  memory_bytes: number
  alive: boolean
}

export interface Status {
  time: string
  connected: number
  platforms: number
  vehicles: number
  frames_per_second: number
  stored_per_second: number
  freshness_ms: number | null
  lag_frames: number
  dead_letters: number
  disk: { used_bytes: number; free_bytes: number }
  problems: Problem[]
  roles: Role[]
}

/** The event `status`: who may see some vehicles only is told how many there are, no more. */
export type LiveStatus = Pick<Status, 'time' | 'connected' | 'vehicles'> & Partial<Status>

/** id, lon, lat, heading, speed km/h, state of charge %, alarm level, online 0/1, Unix ms */
export type FleetRow = [
  string,
  number | null,
  number | null,
  number | null,
  number | null,
  number | null,
  number | null,
  0 | 1,
  number,
]

export interface FleetEvent {
  full: boolean
  rows: FleetRow[]
  /** vehicles that may not be seen any more */
  gone?: string[]
}

export type Lifecycle = 'registered' | 'active' | 'suspended' | 'retired'
export const LIFECYCLES: readonly Lifecycle[] = ['registered', 'active', 'suspended', 'retired']

export type Labels = Record<string, string>

export interface VehicleSummary {
  id: string
  model: string | null
  labels: Labels
  lifecycle: Lifecycle
  protocol: string | null
  online: boolean
  last_seen: string | null
  speed_kmh: number | null
  soc_pct: number | null
  alarm_level: number | null
  lon: number | null
  lat: number | null
}

export interface VehicleSession {
  address: string
  since: string
  edition: string | number | null
  frames: number
  platform: string | null
}

export interface Vehicle {
  id: string
  vin: string | null
  model: string | null
  labels: Labels
  lifecycle: Lifecycle
  created: string
  updated: string
  protocol: string | null
  credentials: {
    iccid?: string | null
    public_key?: string | null
    algorithm?: string | null
    tls_fingerprint?: string | null
    token_made?: string | null
  }
  online: boolean
  session: VehicleSession | null
}

/** shown once */
export interface VehicleToken {
  vehicle: string
  token: string
  made: string
}

export interface NewVehicle {
  id: string
  model?: string
  labels?: Labels
  lifecycle?: Lifecycle
}

export interface ImportReport {
  created: number
  updated: number
  errors: { line: number; field: string; detail: string }[]
}

export type SignalValue = number | string | boolean | null | (number | string | null)[]

export interface TwinSignal {
  value: SignalValue
  time: string
  unit: string | null
  flagged: boolean
}

export interface Twin {
  vehicle: string
  time: string | null
  signals: Record<string, TwinSignal>
}

export interface TwinEvent {
  signals: Record<string, [SignalValue, number, true?]>
}

export interface Frame {
  time: string
  received: string
  kind: string
  protocol: string
  seq: number | string
  hex: string
  fields: Record<string, unknown> | null
  error: Record<string, unknown> | null
}

export interface Series {
  unit: string | null
  time_ms: number[]
  min: (number | null)[]
  max: (number | null)[]
  mean: (number | null)[]
}

export interface SignalSeries {
  from: string
  to: string
  bucket_ms: number
  series: Record<string, Series>
}

export interface Trail {
  time_ms: number[]
  lon: (number | null)[]
  lat: (number | null)[]
  speed_kmh: (number | null)[]
}

export interface Alarm {
  code: string
  level: number | null
  start: string
  end: string | null
}

export interface Model {
  id: string
  name: string
  maker: string | null
  protocol: string | null
  datum: 'WGS84' | 'GCJ02'
  current_sign: 'discharge' | 'charge'
}

export interface CatalogueSignal {
  path: string
  kind: 'sensor' | 'actuator' | 'attribute'
  datatype: string
  unit: string | null
  min: number | null
  max: number | null
  allowed: string[]
  origin: 'vss' | 'carcloud' | 'tenant'
  deprecated: boolean
  description: string | null
  vehicles: number
  models: string[]
  last_seen: string | null
}

/** What the values of a signal are without the tenant's overlay. */
export type SignalFacts = Pick<
  CatalogueSignal,
  'min' | 'max' | 'allowed' | 'deprecated' | 'description'
>

export interface SignalDetail {
  signal: CatalogueSignal
  default: unknown
  pattern: string | null
  by_model: { model: string | null; vehicles: number }[]
  /** null: the overlay adds it */
  standard: SignalFacts | null
}

export interface OverlayVersion {
  version: number
  created: string | null
  actor: string
  note: string
}

/** A version of the overlay, and what it does to the catalogue; version 0 = there is none. */
export interface Overlay extends OverlayVersion {
  text: string
  added: string[]
  changed: string[]
  removed: string[]
}

export interface Finding {
  line: number
  node: string
  text: string
}

export interface OverlayEffect {
  version: number | null
  added: string[]
  changed: string[]
  removed: string[]
  findings: Finding[]
}

export interface Column {
  name: string
  type: string
}

export interface Table {
  name: string
  /** sizes are null for who may see some vehicles only */
  rows: number | null
  bytes: number | null
  files: number | null
  /** every tenant has it; others were made by jobs, and can be dropped */
  built_in: boolean
  columns: Column[]
}

export type Cell = string | number | boolean | null | unknown[] | Record<string, unknown>

export interface QueryResult {
  columns: Column[]
  rows: Cell[][]
  truncated: boolean
  seconds: number
}

export interface DeadLetter {
  id: string
  vehicle: string
  received: string
  protocol: string
  reason: string
  clause: string | null
  offset: number | null
  hex: string
  size: number
}

export interface ReasonCount {
  reason: string
  clause: string | null
  count: number
}

export interface DeadLetterPage extends Page<DeadLetter> {
  reasons: ReasonCount[]
}

export interface ForwardingLink {
  name: string
  host: string
  port: number
  platform_id: string
  user: string
  edition: number
  tls: boolean
  enabled: boolean
  connected: boolean
  problem: string | null
  forwarded: number
  refused: number
  expired: number
  waiting: number
  retrying: number
  oldest_waiting: string | null
  warning: 'retention' | 'reissue-window' | null
  created: string
  updated: string | null
}

export interface NewForwardingLink {
  name: string
  host: string
  port: number
  platform_id: string
  user: string
  password: string
  edition: 2016 | 2025
  tls: boolean
}

export interface PlatformAccount {
  platform_id: string
  user: string
  created: string
  updated: string
}

export interface Reprocessed {
  outcome: 'stored' | 'still-bad'
  reason?: string
}
