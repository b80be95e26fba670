// Commands to vehicles and their desired state, as the API tells them.
import { json, tagged, type Query, type Tagged } from './http'
import type { Page } from './types'
import type { Tone } from './tone'

export type CommandState =
  | 'created'
  | 'sent'
  | 'received'
  | 'executed'
  | 'refused'
  | 'failed'
  | 'timed-out'
  | 'cancelled'

export const TONES: Record<CommandState, Tone> = {
  created: 'plain',
  sent: 'accent',
  received: 'accent',
  executed: 'good',
  refused: 'bad',
  failed: 'bad',
  'timed-out': 'warn',
  cancelled: 'plain',
}

export const isOpen = (state: CommandState): boolean =>
  state === 'created' || state === 'sent' || state === 'received'

export interface Argument {
  name: string
  kind: 'text' | 'whole' | 'number' | 'flag' | 'object' | 'list' | 'value'
  help: string
  needed: boolean
  least: number | null
  most: number | null
  choices: string[]
  secret: boolean // hidden in every answer
}

export interface CommandKind {
  name: string
  help: string
  protocols: string[]
  action: string
  parked: boolean
  arguments: Argument[]
}

export interface Command {
  id: string
  vehicle: string
  name: string
  arguments: Record<string, unknown>
  state: CommandState
  reason: string
  result: unknown
  actor: string
  created: string
  expires: string
  sent: string | null
  received: string | null
  ended: string | null
}

export interface VehicleState {
  vehicle: string
  desired: Record<string, unknown>
  reported: Record<string, unknown>
  delta: Record<string, unknown> | null
  desired_version: number
  reported_version: number
  desired_time: string | null
  reported_time: string | null
}

const vehicle = (id: string): string => `/v1/vehicles/${encodeURIComponent(id)}`

export const commands = {
  kinds: () => json<{ items: CommandKind[] }>('/v1/command-kinds'),
  of: (id: string, query: Query, signal?: AbortSignal) =>
    json<Page<Command>>(`${vehicle(id)}/commands`, { query, ...(signal ? { signal } : {}) }),
  give: (id: string, body: { name: string; arguments: object; timeout_s: number; key: string }) =>
    json<Command>(`${vehicle(id)}/commands`, { method: 'POST', json: body }),
  cancel: (id: string, command: string) =>
    json<Command>(`${vehicle(id)}/commands/${command}/cancel`, { method: 'POST' }),
  state: (id: string) => tagged<VehicleState>(`${vehicle(id)}/state`),
  desire: (id: string, patch: object, etag: string | null): Promise<Tagged<VehicleState>> =>
    tagged<VehicleState>(`${vehicle(id)}/state/desired`, {
      method: 'PATCH',
      json: patch,
      ifMatch: etag,
    }),
}

/** What somebody typed for an argument, as the API takes it; undefined: left out. */
export function argumentOf(argument: Argument, typed: string): unknown {
  const text = typed.trim()
  if (text === '') return undefined
  if (argument.kind === 'text') return typed
  try {
    return JSON.parse(text) as unknown
  } catch {
    if (argument.kind === 'list') return text.split(',').map((one) => one.trim())
    return text // the server says what is wrong with it, at its field
  }
}

/** The merge patch (RFC 7396) that makes `after` out of `before`. */
export function patchOf(
  before: Record<string, unknown>,
  after: Record<string, unknown>,
): Record<string, unknown> {
  const patch: Record<string, unknown> = {}
  for (const name of Object.keys(before)) if (!(name in after)) patch[name] = null
  for (const [name, value] of Object.entries(after)) {
    const old = before[name]
    if (isObject(value) && isObject(old)) {
      const inner = patchOf(old, value)
      if (Object.keys(inner).length > 0) patch[name] = inner
    } else if (JSON.stringify(value) !== JSON.stringify(old)) patch[name] = value
  }
  return patch
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
