// People, roles, grants, keys, tenants and the audit: what the API tells of them, and its calls.
import { json, overNetwork, send, tagged, type Query } from './http'
import type { Labels, Page, Session } from './types'

/** Where a grant holds: in a project, or where labels match; both empty = everywhere. */
export interface Scope {
  project: string | null
  labels: Labels
}

export interface User {
  name: string
  service: boolean
  note: string
  /** belongs to another tenant */
  guest: boolean
  disabled: boolean
  second_factor: boolean
  external: boolean
  created: string
}

export interface NewUser {
  name: string
  password: string
  role: string
  scope: Scope
  note: string
}

export interface Grant {
  id: string
  user: string
  role: string
  scope: Scope
  created: string
  by: string
}

export interface Role {
  id: string
  name: string
  help: string
  actions: string[]
  built_in: boolean
}

export interface Action {
  name: string
  help: string
  roles: string[]
}

/** Why a user may do something: the grant whose role holds the action. */
export interface Reason {
  user: string
  action: string
  grant: Grant
}

export interface ApiKey {
  id: string
  name: string
  user: string
  /** null = all that its user may */
  actions: string[] | null
  project: string | null
  by: string
  created: string
  expires: string | null
  used: string | null
}

export interface NewKey {
  name: string
  user: string | null
  actions: string[] | null
  project: string | null
  days: number | null
}

export interface KeySecret {
  key: ApiKey
  secret: string
  s3_access_key_id: string
  s3_secret_access_key: string | null
}

export interface OpenSession {
  id: string
  user: string
  address: string
  agent: string
  created: string
  expires: string
  /** a token that was made from another sign-in or key */
  short_lived: boolean
  current: boolean
}

export interface Tenant {
  id: string
  name: string
  state: 'active' | 'suspended' | 'deleting'
  created: string
  /** people who sign in with a password need one */
  second_factor: boolean
}

export interface NewTenant {
  id: string
  name: string
  owner: { name: string; password: string }
}

export interface Project {
  id: string
  name: string
  created: string
}

export type Facts = Record<string, unknown>

export interface AuditEntry {
  number: number
  time: string
  actor: string
  action: string
  subject: string
  before: Facts | null
  after: Facts | null
  denied: boolean
  address: string
  request: string
  hash: string
}

export interface Chain {
  entries: number
  head: string
  faults: string[]
}

const one = (things: string, id: string): string => `/v1/${things}/${encodeURIComponent(id)}`
const signalled = (signal?: AbortSignal): { signal?: AbortSignal } => (signal ? { signal } : {})

export const access = {
  users: () => json<Page<User>>('/v1/users'),
  addUser: (body: NewUser) => json<User>('/v1/users', { method: 'POST', json: body }),
  addService: (body: Omit<NewUser, 'password'>) =>
    json<User>('/v1/service-accounts', { method: 'POST', json: body }),
  setDisabled: (user: string, disabled: boolean) =>
    json<User>(one('users', user), { method: 'PATCH', json: { disabled } }),
  setPassword: (user: string, password: string) =>
    json<void>(`${one('users', user)}/password`, { method: 'PUT', json: { password } }),
  removeUser: (user: string) => json<void>(one('users', user), { method: 'DELETE' }),

  grants: (user?: string) => json<Page<Grant>>('/v1/grants', { query: { user } }),
  grant: (body: { user: string; role: string; scope: Scope }) =>
    json<Grant>('/v1/grants', { method: 'POST', json: body }),
  revoke: (grant: string) => json<void>(one('grants', grant), { method: 'DELETE' }),
  why: (query: { user?: string; action?: string }) =>
    json<Page<Reason>>('/v1/permissions', { query }),

  actions: () => json<Page<Action>>('/v1/actions'),
  roles: () => json<Page<Role>>('/v1/roles'),
  role: (id: string) => tagged<Role>(one('roles', id)),
  addRole: (body: { id: string; name: string; actions: string[] }) =>
    tagged<Role>('/v1/roles', { method: 'POST', json: body }),
  changeRole: (id: string, body: { name: string; actions: string[] }, etag: string | null) =>
    tagged<Role>(one('roles', id), { method: 'PUT', json: body, ifMatch: etag }),
  removeRole: (id: string) => json<void>(one('roles', id), { method: 'DELETE' }),

  keys: (mine: boolean) => json<Page<ApiKey>>('/v1/keys', { query: { mine } }),
  addKey: (body: NewKey) => json<KeySecret>('/v1/keys', { method: 'POST', json: body }),
  revokeKey: (id: string) => json<void>(one('keys', id), { method: 'DELETE' }),

  sessions: (mine: boolean) => json<Page<OpenSession>>('/v1/sessions', { query: { mine } }),
  endSession: (id: string) => json<void>(one('sessions', id), { method: 'DELETE' }),
  ownPassword: (current: string, password: string) =>
    json<void>('/v1/session/password', { method: 'PUT', json: { current, password } }),
  switchTenant: (tenant: string) =>
    json<Session>('/v1/session/tenant', { method: 'PUT', json: { tenant } }),

  tenant: () => json<Tenant>('/v1/tenant'),
  renameTenant: (name: string) => json<Tenant>('/v1/tenant', { method: 'PATCH', json: { name } }),
  askSecondFactor: (second_factor: boolean) =>
    json<Tenant>('/v1/tenant', { method: 'PATCH', json: { second_factor } }),
  projects: () => json<Page<Project>>('/v1/projects'),
  addProject: (id: string, name: string) =>
    json<Project>('/v1/projects', { method: 'POST', json: { id, name } }),
  removeProject: (id: string) => json<void>(one('projects', id), { method: 'DELETE' }),
  tenants: () => json<Page<Tenant>>('/v1/tenants'),
  addTenant: (body: NewTenant) => json<Tenant>('/v1/tenants', { method: 'POST', json: body }),
  changeTenant: (id: string, patch: Partial<Pick<Tenant, 'name' | 'state'>>) =>
    json<Tenant>(one('tenants', id), { method: 'PATCH', json: patch }),

  audit: (query: Query, signal?: AbortSignal) =>
    json<Page<AuditEntry>>('/v1/audit', { query, ...signalled(signal) }),
  auditExport: async (query: Query): Promise<Blob> =>
    overNetwork((await send('/v1/audit/export', { query, accept: 'application/x-ndjson' })).blob()),
  verify: () => json<Chain>('/v1/audit/verify'),
}
