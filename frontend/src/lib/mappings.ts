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
  versions: (model: string) =>
    json<Page<MappingVersion>>(`${place(model)}s`, { query: { limit: 100 } }),
  version: (model: string, version: number) => json<ModelMapping>(`${place(model)}s/${version}`),
  check: (model: string, text: string, dbc: DbcTexts) =>
    json<MappingEffect>(place(model), {
      method: 'PUT',
      query: { check: true },
      json: { text, dbc },
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
