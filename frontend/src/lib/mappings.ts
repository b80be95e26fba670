// Mappings of models: what the API tells of them, and its calls.
import { json, tagged } from './http'
import type { Page } from './types'

export interface RawField {
  kind: 'can' | 'obd' | 'field'
  name: string
  place: string
  unit: string
  paths: string[]
}

export interface MappingEffect {
  version: number | null
  signals: number
  findings: { line: number; node: string; text: string }[]
  dbc_findings: { file: string; line: number; level: string; text: string; action: string }[]
  fields: RawField[]
}

export interface ModelMapping extends MappingEffect {
  version: number
  created: string | null
  actor: string
  note: string
  text: string
  dbc: string[]
}

export interface MappingVersion {
  version: number
  created: string
  actor: string
  note: string
  dbc: string[]
  active: boolean
}

export interface Suggestion {
  mapping: string
  overlay: string
  matched: Record<string, string>
  private: number
  left_out: string[]
}

export type DbcTexts = Record<string, string>

const place = (model: string): string => `/v1/models/${encodeURIComponent(model)}/mapping`

export const mappings = {
  get: (model: string) => tagged<ModelMapping>(place(model)),
  versions: (model: string, cursor: string | null) =>
    json<Page<MappingVersion>>(`${place(model)}s`, { query: { limit: 30, cursor } }),
  version: (model: string, version: number) => json<ModelMapping>(`${place(model)}s/${version}`),
  /** `overlay`: look as if this were the tenant's; null = the one that holds. */
  check: (model: string, text: string, dbc: DbcTexts, overlay: string | null) =>
    json<MappingEffect>(place(model), {
      method: 'PUT',
      query: { check: true },
      json: { text, dbc, overlay },
    }),
  save: (model: string, text: string, dbc: DbcTexts, note: string, etag: string | null) =>
    json<MappingEffect>(place(model), {
      method: 'PUT',
      json: { text, dbc, note },
      ifMatch: etag,
    }),
  suggest: (model: string, dbc: DbcTexts) =>
    json<Suggestion>(`${place(model)}/suggest`, { method: 'POST', json: { dbc } }),
}

/** The text of a DBC file, which tells no encoding: those of today write UTF-8, old ones Windows'. */
export function dbcText(bytes: ArrayBuffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return new TextDecoder('windows-1252').decode(bytes)
  }
}
