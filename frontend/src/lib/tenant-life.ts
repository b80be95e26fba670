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

/** Rows of all tables, and blobs and messages, of a count. */
export function totals(counted: Counted): { rows: number; blobs: number; messages: number } {
  const sum = (values: number[]): number => values.reduce((all, one) => all + one, 0)
  const tables = Object.values(counted.lake.tables).map((one) => one.rows)
  return {
    rows: sum(Object.values(counted.records)) + sum(tables),
    blobs: sum(Object.values(counted.blobs.kinds)),
    messages: sum(Object.values(counted.streams)),
  }
}

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
