// Every call that the console makes, by name.
import { json, overNetwork, send, tagged, type Query } from './http'
import type * as T from './types'

export { ApiProblem, onSignedOut, onUnproved, type Tagged } from './http'

const link = (name: string): string => `/v1/forwarding/${encodeURIComponent(name)}`
const platform = (id: string): string => `/v1/platforms/${encodeURIComponent(id)}`
const vehicle = (id: string): string => `/v1/vehicles/${encodeURIComponent(id)}`

export const api = {
  ui: () => json<T.UiSettings>('/v1/ui'),
  session: () => json<T.Session>('/v1/session'),
  signIn: (user: string, password: string, code?: string) =>
    json<T.Session>('/v1/session', { method: 'POST', json: { user, password, code } }),
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
  makeToken: (id: string) => json<T.VehicleToken>(`${vehicle(id)}/token`, { method: 'POST' }),
  revokeToken: (id: string) => json<void>(`${vehicle(id)}/token`, { method: 'DELETE' }),
  importVehicles: (csv: string) =>
    json<T.ImportReport>('/v1/vehicles/import', {
      method: 'POST',
      text: csv,
      contentType: 'text/csv',
    }),
  twin: (id: string) => json<T.Twin>(`${vehicle(id)}/twin`),
  frames: (id: string, query: Query, signal: AbortSignal) =>
    json<T.Page<T.Frame>>(`${vehicle(id)}/frames`, { query, signal }),
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
  signals: (query: Query, signal: AbortSignal) =>
    json<T.Page<T.CatalogueSignal>>('/v1/signals', { query, signal }),
  signal: (path: string, signal?: AbortSignal) =>
    json<T.SignalDetail>(`/v1/signals/${encodeURIComponent(path)}`, signal ? { signal } : {}),
  overlay: () => tagged<T.Overlay>('/v1/signals/overlay'),
  overlays: (query: Query) => json<T.Page<T.OverlayVersion>>('/v1/signals/overlays', { query }),
  overlayVersion: (version: number) => json<T.Overlay>(`/v1/signals/overlays/${version}`),
  checkOverlay: (text: string) =>
    json<T.OverlayEffect>('/v1/signals/overlay', {
      method: 'PUT',
      query: { check: true },
      json: { text },
    }),
  saveOverlay: (text: string, note: string, etag: string | null) =>
    json<T.OverlayEffect>('/v1/signals/overlay', {
      method: 'PUT',
      json: { text, note },
      ifMatch: etag,
    }),
  tables: () => json<T.Page<T.Table>>('/v1/tables'),
  dropTable: (name: string) =>
    json<void>(`/v1/tables/${encodeURIComponent(name)}`, { method: 'DELETE' }),
  query: (sql: string, rows: number, id: string, signal: AbortSignal) =>
    json<T.QueryResult>('/v1/query', { method: 'POST', json: { sql, rows, id }, signal }),
  cancelQuery: (id: string) =>
    json<void>(`/v1/queries/${encodeURIComponent(id)}`, { method: 'DELETE' }),
  exportQuery: async (sql: string, type: string): Promise<Blob> =>
    overNetwork((await send('/v1/query', { method: 'POST', json: { sql }, accept: type })).blob()),

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

  deadLetters: (query: Query, signal: AbortSignal) =>
    json<T.DeadLetterPage>('/v1/dead-letters', { query, signal }),
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
