// Exports of a tenant and its deletion: what the API tells of them, and its calls.
import { json } from './http'
import type { Page } from './types'

export interface TenantExport {
  id: string
  tenant: string
  state: 'waiting' | 'running' | 'ready' | 'failed'
  by: string
  created: string
  ended: string | null
  expires: string | null
  part: string
  /** 0 to 1, by bytes, an estimate */
  progress: number
  bytes: number
  error: string | null
}

export type DeletionStep =
  'count' | 'close' | 'drain' | 'lake' | 'blobs' | 'records' | 'scrub' | 'check'

/** What was there, by kind. */
export interface Counted {
  records: Record<string, number>
  lake: { tables: Record<string, { rows: number; files: number; bytes: number }>; sha256: string }
  blobs: { kinds: Record<string, number>; bytes: number; sha256: string }
  streams: Record<string, number>
}

export interface TenantDeletion {
  id: string
  tenant: string
  state: 'waiting' | 'running' | 'done' | 'cancelled'
  asked_by: string
  asked: string
  due: string
  approved_by: string | null
  cancelled_by: string | null
  step: DeletionStep
  steps: DeletionStep[]
  began: string | null
  ended: string | null
  problem: string | null
  certificate: { before: Counted; after: Counted; not_reached: string[] } | null
  entry: number | null
  entry_hash: string | null
}

/** What a certificate tells numbers of. */
export const KINDS = ['records', 'rows', 'files', 'blobs', 'messages'] as const

/** How much of each kind was counted: rows of records; rows and files of tables of the lake;
 *  objects and other blobs; messages. */
export function totals(counted: Counted): Record<(typeof KINDS)[number], number> {
  const sum = (values: number[]): number => values.reduce((all, one) => all + one, 0)
  const tables = Object.values(counted.lake.tables)
  return {
    records: sum(Object.values(counted.records)),
    rows: sum(tables.map((one) => one.rows)),
    files: sum(tables.map((one) => one.files)),
    blobs: sum(Object.values(counted.blobs.kinds)),
    messages: sum(Object.values(counted.streams)),
  }
}

/** The names of what a certificate says is not reached, by its words. */
const NOT_REACHED: Record<string, string> = {
  'backups and copies of the data folder that were made before': 'backups',
  'old versions in buckets of the lake or of blobs that keep versions': 'versions',
  'copies of files of the lake on machines that were off, until carcloud runs there again':
    'machines',
  'such copies on machines of a Ray cluster that run only jobs': 'ray',
  'logs of processes, and archives of the database server': 'logs',
}

/** The key of its translation, empty where there is none. */
export const notReachedKey = (words: string): string => NOT_REACHED[words] ?? ''

/** Where exports lie: of one's own tenant, or of another. */
const exportsOf = (tenant: string | null): string =>
  tenant === null ? '/v1/tenant/exports' : `/v1/tenants/${encodeURIComponent(tenant)}/exports`
const deletionOf = (tenant: string): string =>
  `/v1/tenants/${encodeURIComponent(tenant)}/deletion`

export const tenantLife = {
  exports: (tenant: string | null) => json<Page<TenantExport>>(exportsOf(tenant)),
  startExport: (tenant: string | null) =>
    json<TenantExport>(exportsOf(tenant), { method: 'POST' }),
  removeExport: (tenant: string | null, id: string) =>
    json<void>(`${exportsOf(tenant)}/${id}`, { method: 'DELETE' }),
  archiveUrl: (tenant: string | null, id: string) => `${exportsOf(tenant)}/${id}/archive`,

  deletions: () => json<Page<TenantDeletion>>('/v1/tenant-deletions'),
  deletion: (tenant: string) => json<TenantDeletion>(deletionOf(tenant)),
  askDeletion: (tenant: string, confirm: string) =>
    json<TenantDeletion>(deletionOf(tenant), { method: 'POST', json: { confirm } }),
  approveDeletion: (tenant: string) =>
    json<TenantDeletion>(`${deletionOf(tenant)}/approval`, { method: 'POST' }),
  cancelDeletion: (tenant: string) =>
    json<TenantDeletion>(deletionOf(tenant), { method: 'DELETE' }),
}
