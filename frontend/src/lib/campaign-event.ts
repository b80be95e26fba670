// The samples of one event. They are rows of the table `signals`, in the time around the trigger.
import { api } from './api'
import type { CampaignDocument } from './campaign-document'
import { campaigns, type CollectedEvent, type Used } from './campaigns'
import { ApiProblem } from './http'
import { isoTime } from './ranges'
import { unitName } from './signals'

const MOST_PATHS = 32 // of one call
const POINTS = 5000
const AROUND_MS = 60_000 // where the document sets no limit
const EDGE_MS = 50

/** One signal: seconds from the trigger, and what it was then. */
export interface Trace {
  path: string
  unit: string
  offsets: number[]
  values: unknown[]
}

export interface EventSamples {
  traces: Trace[]
  /** texts and arrays, which only SQL shows, left out because of a missing permission */
  left: string[]
}

/** Whether a signal of this type has a curve. */
export const hasCurve = (one: Used): boolean =>
  !one.datatype.endsWith('[]') && one.datatype !== 'string'

/** From when to when the samples of an event were taken, Unix ms. */
export function stretch(event: CollectedEvent, document: CampaignDocument): [number, number] {
  const at = Date.parse(event.time)
  const before = document.pre_trigger_ms ?? AROUND_MS
  return [at - before - EDGE_MS, at + (document.post_trigger_ms ?? 0) + EDGE_MS]
}

export async function samplesOf(
  event: CollectedEvent,
  document: CampaignDocument,
  mayAsk: boolean,
): Promise<EventSamples> {
  const used = (await campaigns.check(document)).signals.filter((one) => one.collected)
  const [curves, words] = [used.filter(hasCurve), used.filter((one) => !hasCurve(one))]
  const found = await Promise.all([
    ...parts(curves, MOST_PATHS).map((some) => numbers(event, document, some)),
    ...(mayAsk ? words : []).map((one) => texts(event, document, one)),
  ])
  return {
    traces: found.flat().filter((one) => one.values.length > 0),
    left: mayAsk ? [] : words.map(({ path }) => path),
  }
}

const parts = <V>(list: readonly V[], size: number): V[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  )

async function numbers(
  event: CollectedEvent,
  document: CampaignDocument,
  used: readonly Used[],
): Promise<Trace[]> {
  const [from, to] = stretch(event, document)
  const at = Date.parse(event.time)
  const paths = used.map(({ path }) => path)
  const query = {
    paths: paths.join(','), from: isoTime(from), to: isoTime(to), points: POINTS,
  }
  const { series } = await api.series(event.vehicle, query)
  return used.map(({ path, unit, datatype }) => ({
    path,
    unit: unitName(unit),
    offsets: (series[path]?.time_ms ?? []).map((ms) => (ms - at) / 1000),
    values: (series[path]?.mean ?? []).map((one) => (datatype === 'boolean' ? one === 1 : one)),
  }))
}

async function texts(
  event: CollectedEvent,
  document: CampaignDocument,
  { path, unit }: Used,
): Promise<Trace[]> {
  const [from, to] = stretch(event, document)
  const name = `"${path.replaceAll('"', '""')}"`
  const sql =
    `SELECT epoch_ms(time) - ${Date.parse(event.time)} AS at, ${name} FROM signals ` +
    `WHERE vehicle = '${event.vehicle.replaceAll("'", "''")}' AND ${name} IS NOT NULL ` +
    `AND time BETWEEN TIMESTAMPTZ '${isoTime(from)}' AND TIMESTAMPTZ '${isoTime(to)}' ORDER BY 1`
  try {
    const stop = new AbortController()
    const { rows } = await api.query(sql, 200, crypto.randomUUID(), stop.signal)
    const offsets = rows.map(([ms]) => Number(ms) / 1000)
    return [{ path, unit: unitName(unit), offsets, values: rows.map(([, value]) => value) }]
  } catch (reason) {
    if (reason instanceof ApiProblem && reason.status === 400) return [] // never reported
    throw reason
  }
}
