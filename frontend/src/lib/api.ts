// The one HTTP client: JSON in and out, entity tags for edits, problem details (RFC 9457) as errors.
import type * as T from './types'

export interface FieldError {
  field: string
  detail: string
}

/** A refusal by the server, or by the network (status 0). */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: readonly FieldError[] = [],
  ) {
    super(detail || title)
  }

  /** The message for one form field, if the server named it. */
  field(name: string): string | undefined {
    return this.errors.find((error) => error.field === name || error.field.startsWith(`${name}.`))
      ?.detail
  }
}

/** A resource with the entity tag that the next edit must send back. */
export interface Tagged<V> {
  value: V
  etag: string | null
}

export type Query = Record<string, string | number | boolean | null | undefined>

interface Call {
  method?: string
  query?: Query
  json?: unknown
  text?: string
  contentType?: string
  accept?: string
  ifMatch?: string | null
  signal?: AbortSignal
}

let whenSignedOut = (): void => {}

/** Called whenever the server says that the session is gone. */
export function onSignedOut(callback: () => void): void {
  whenSignedOut = callback
}

export function withQuery(path: string, query: Query = {}): string {
  const args = new URLSearchParams()
  for (const [key, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== '') args.set(key, String(value))
  const text = args.toString()
  return text ? `${path}?${text}` : path
}

export async function readProblem(response: Response): Promise<ApiProblem> {
  try {
    const body = (await response.json()) as Partial<ApiProblem> & { errors?: FieldError[] }
    return new ApiProblem(
      response.status,
      body.title ?? response.statusText,
      body.detail ?? '',
      Array.isArray(body.errors) ? body.errors : [],
    )
  } catch {
    return new ApiProblem(response.status, response.statusText || `HTTP ${response.status}`, '')
  }
}

async function send(path: string, call: Call): Promise<Response> {
  const headers: Record<string, string> = {
    Accept: call.accept ?? 'application/json, application/problem+json',
  }
  let body: string | undefined = call.text
  if (call.json !== undefined) body = JSON.stringify(call.json)
  if (body !== undefined) headers['Content-Type'] = call.contentType ?? 'application/json'
  if (call.ifMatch) headers['If-Match'] = call.ifMatch
  let response: Response
  try {
    response = await fetch(withQuery(path, call.query), {
      method: call.method ?? 'GET',
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body }),
      ...(call.signal ? { signal: call.signal } : {}),
    })
  } catch (reason) {
    if (reason instanceof DOMException && reason.name === 'AbortError') throw reason
    throw new ApiProblem(0, 'network', '')
  }
  if (response.ok) return response
  const problem = await readProblem(response)
  if (response.status === 401 && !path.startsWith('/v1/session')) whenSignedOut()
  throw problem
}

async function json<V>(path: string, call: Call = {}): Promise<V> {
  const response = await send(path, call)
  return (response.status === 204 ? undefined : await response.json()) as V
}

async function tagged<V>(path: string, call: Call = {}): Promise<Tagged<V>> {
  const response = await send(path, call)
  return { value: (await response.json()) as V, etag: response.headers.get('ETag') }
}

const link = (name: string): string => `/v1/forwarding/${encodeURIComponent(name)}`
const platform = (id: string): string => `/v1/platforms/${encodeURIComponent(id)}`
const vehicle = (id: string): string => `/v1/vehicles/${encodeURIComponent(id)}`

export const api = {
  ui: () => json<T.UiSettings>('/v1/ui'),
  session: () => json<T.Session>('/v1/session'),
  signIn: (user: string, password: string) =>
    json<T.Session>('/v1/session', { method: 'POST', json: { user, password } }),
  signOut: () => json<void>('/v1/session', { method: 'DELETE' }),

  vehicles: (query: Query, signal?: AbortSignal) =>
    json<T.Page<T.VehicleSummary>>('/v1/vehicles', { query, ...(signal ? { signal } : {}) }),
  vehicle: (id: string) => tagged<T.Vehicle>(vehicle(id)),
  addVehicle: (body: T.NewVehicle) =>
    tagged<T.Vehicle>('/v1/vehicles', { method: 'POST', json: body }),
  editVehicle: (id: string, patch: object, etag: string | null) =>
    tagged<T.Vehicle>(vehicle(id), {
      method: 'PATCH',
      json: patch,
      ifMatch: etag,
    }),
  importVehicles: (csv: string) =>
    json<T.ImportReport>('/v1/vehicles/import', {
      method: 'POST',
      text: csv,
      contentType: 'text/csv',
    }),
  twin: (id: string) => json<T.Twin>(`${vehicle(id)}/twin`),
  frames: (id: string, query: Query) => json<T.Page<T.Frame>>(`${vehicle(id)}/frames`, { query }),
  series: (id: string, query: Query, signal?: AbortSignal) =>
    json<T.SignalSeries>(`${vehicle(id)}/signals`, { query, ...(signal ? { signal } : {}) }),
  trail: (id: string, query: Query) => json<T.Trail>(`${vehicle(id)}/trail`, { query }),
  alarms: (id: string, query: Query) => json<T.Page<T.Alarm>>(`${vehicle(id)}/alarms`, { query }),

  models: () => json<T.Page<T.Model>>('/v1/models', { query: { limit: 500 } }),
  model: (id: string) => tagged<T.Model>(`/v1/models/${encodeURIComponent(id)}`),
  addModel: (body: T.Model) => tagged<T.Model>('/v1/models', { method: 'POST', json: body }),
  editModel: (id: string, patch: object, etag: string | null) =>
    tagged<T.Model>(`/v1/models/${encodeURIComponent(id)}`, {
      method: 'PATCH',
      json: patch,
      ifMatch: etag,
    }),
  signals: () => json<T.Page<T.CatalogueSignal>>('/v1/signals'),
  tables: () => json<T.Page<T.Table>>('/v1/tables'),
  query: (sql: string, rows: number, id: string, signal: AbortSignal) =>
    json<T.QueryResult>('/v1/query', { method: 'POST', json: { sql, rows, id }, signal }),
  cancelQuery: (id: string) =>
    json<void>(`/v1/queries/${encodeURIComponent(id)}`, { method: 'DELETE' }),
  exportQuery: async (sql: string, type: string): Promise<Blob> =>
    (await send('/v1/query', { method: 'POST', json: { sql }, accept: type })).blob(),

  links: () => json<T.Page<T.ForwardingLink>>('/v1/forwarding'),
  link: (name: string) => tagged<T.ForwardingLink>(link(name)),
  addLink: (body: T.NewForwardingLink) =>
    tagged<T.ForwardingLink>('/v1/forwarding', { method: 'POST', json: body }),
  editLink: (name: string, patch: object, etag: string | null) =>
    tagged<T.ForwardingLink>(link(name), { method: 'PATCH', json: patch, ifMatch: etag }),
  removeLink: (name: string) => json<void>(link(name), { method: 'DELETE' }),
  platforms: () => json<T.Page<T.PlatformAccount>>('/v1/platforms'),
  grantPlatform: (id: string, body: { user: string; password: string }) =>
    json<T.PlatformAccount>(platform(id), { method: 'PUT', json: body }),
  revokePlatform: (id: string) => json<void>(platform(id), { method: 'DELETE' }),

  deadLetters: (query: Query) => json<T.DeadLetterPage>('/v1/dead-letters', { query }),
  deadLetter: (id: string) => json<T.DeadLetter>(`/v1/dead-letters/${encodeURIComponent(id)}`),
  reprocess: (id: string) =>
    json<T.Reprocessed>(`/v1/dead-letters/${encodeURIComponent(id)}/reprocess`, {
      method: 'POST',
      json: { force: true },
    }),
  reprocessAll: (reason: string | null) =>
    json<{ tried: number; queued: number }>('/v1/dead-letters/reprocess', {
      method: 'POST',
      json: reason ? { reason } : {},
    }),
}
