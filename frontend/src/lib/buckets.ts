// Buckets and their objects, as the API tells them.
import { json, overNetwork, send, tagged, withQuery, type Query } from './http'
import type { Page } from './types'

export interface Rule {
  id: string
  enabled: boolean
  prefix: string
  tags: Record<string, string>
  larger_than: number | null
  smaller_than: number | null
  days: number
  date: string
  old_versions_days: number
  uploads_days: number
  expired_marker: boolean
}

export interface Bucket {
  name: string
  project: string
  created: string
  created_by: string
  versioning: 'Off' | 'Enabled' | 'Suspended'
  tags: Record<string, string>
  lifecycle: Rule[]
  objects: number
  /** old versions and unfinished uploads too */
  bytes: number
  revision: number
}

/** What the tenant keeps; `limit` null = no limit. */
export interface Kept {
  bytes: number
  limit: number | null
  buckets: number
  sealed: boolean
  own_place: boolean
  /** where the S3 interface answers */
  endpoint: string
}

export interface Stored {
  key: string
  size: number
  etag: string
  modified: string
  version: string
  latest: boolean
  marker: boolean
}

export interface Listing {
  items: Stored[]
  folders: string[]
  next_cursor: string | null
}

export interface Facts {
  key: string
  size: number
  etag: string
  modified: string
  version: string
  content_type: string
  metadata: Record<string, string>
  headers: Record<string, string>
  tags: Record<string, string>
  checksum: string | null
  parts: number
  sealed: boolean
}

export interface Channel {
  topic: string
  encoding: string
  schema: string
  messages: number | null
}

export interface Preview {
  kind: 'parquet' | 'mcap'
  note: string
  rows: number | null
  columns: [string, string][]
  first: (string | null)[][]
  written_by: string
  messages: number | null
  channels: Channel[]
  chunks: number | null
  attachments: number | null
  start: string | null
  end: string | null
  compressions: string[]
}

const path = (bucket: string): string => `/v1/buckets/${encodeURIComponent(bucket)}`
const version = (one: string | null): Query => (one === null ? {} : { version: one })

export const objectUrl = (bucket: string, key: string, query: Query = {}): string =>
  withQuery(`${path(bucket)}/object`, { key, ...query })

export const buckets = {
  kept: () => json<Kept>('/v1/storage'),
  all: () => json<Page<Bucket>>('/v1/buckets'),
  one: (name: string) => tagged<Bucket>(path(name)),
  add: (name: string, project: string) =>
    json<Bucket>('/v1/buckets', { method: 'POST', json: { name, project } }),
  change: (name: string, change: object, etag: string | null) =>
    tagged<Bucket>(path(name), { method: 'PATCH', json: change, ifMatch: etag }),
  remove: (name: string) => json<void>(path(name), { method: 'DELETE' }),

  objects: (name: string, query: Query, signal?: AbortSignal) =>
    json<Listing>(`${path(name)}/objects`, { query, ...(signal ? { signal } : {}) }),
  facts: (name: string, key: string, of: string | null) =>
    json<Facts>(`${path(name)}/object/facts`, { query: { key, ...version(of) } }),
  preview: (name: string, key: string, of: string | null) =>
    json<Preview>(`${path(name)}/object/preview`, { query: { key, ...version(of) } }),
  text: async (name: string, key: string, of: string | null, most: number): Promise<string> => {
    const range = `bytes=0-${most - 1}`
    const query = { key, ...version(of) }
    const answer = await send(`${path(name)}/object`, { query, range, accept: '*/*' })
    return overNetwork(answer.text())
  },
  drop: (name: string, key: string, of: string | null) =>
    json<void>(`${path(name)}/object`, { method: 'DELETE', query: { key, ...version(of) } }),
}

/** `a/b/` -> `a/`; the top is ''. */
export const folderAbove = (prefix: string): string =>
  prefix.slice(0, prefix.slice(0, -1).lastIndexOf('/') + 1)

/** The last part of a key or folder. */
export const nameOf = (key: string): string =>
  key.slice(key.slice(0, -1).lastIndexOf('/') + 1) || key

/** The folders that lead to a prefix, each with the prefix that opens it. */
export function steps(prefix: string): { name: string; prefix: string }[] {
  const found = []
  let from = 0
  for (let at = prefix.indexOf('/'); at >= 0; at = prefix.indexOf('/', from)) {
    found.push({ name: prefix.slice(from, at) || '/', prefix: prefix.slice(0, at + 1) })
    from = at + 1
  }
  return found
}

export type PreviewKind = 'image' | 'table' | 'text' | 'json' | 'none'

const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp']
const TEXTS =
  /\.(txt|md|csv|tsv|log|ya?ml|toml|xml|html?|svg|py|sql|sh|ini|conf|dbc|jsonl|ndjson|pem)$/i
const MOST_JSON = 262_144 // bytes; a longer one is shown as text

/** How an object can be looked into, by its name and what its sender called it. */
export function previewKind(key: string, type: string, size: number): PreviewKind {
  const plain = (type.split(';')[0] ?? '').trim().toLowerCase()
  if (IMAGES.includes(plain)) return 'image'
  if (/\.(parquet|mcap)$/i.test(key)) return 'table'
  const isJson = /\.(geo)?json$/i.test(key) || plain === 'application/json'
  if (isJson && size <= MOST_JSON) return 'json'
  if (isJson || plain.startsWith('text/') || TEXTS.test(key)) return 'text'
  return 'none'
}
