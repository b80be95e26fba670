// The document of a campaign, as docs/campaigns.md describes it, and what the console makes of it.

export interface CampaignTrigger {
  every_ms?: number | undefined
  when?: string | undefined
  mode?: 'ALWAYS' | 'RISING_EDGE' | undefined
  fire_on_first_true?: boolean | undefined
  minimum_interval_ms?: number | undefined
}

export interface SignalItem {
  path: string
  max_samples?: number | undefined
  min_interval_ms?: number | undefined
  condition_only?: boolean | undefined
  window_ms?: number | undefined
  partition?: string | undefined
}

export interface FrameItem {
  id?: number | undefined
  extended?: boolean | undefined
  pgn?: number | undefined
  bus?: string | undefined
  max_frames?: number | undefined
  min_interval_ms?: number | undefined
  partition?: string | undefined
}

export interface Partition {
  id: string
  upload?: 'always' | 'on_request' | undefined
  upload_when?: string | undefined
  max_bytes?: number | undefined
  keep_s?: number | undefined
}

export interface CampaignDocument {
  id: string
  version?: number | undefined
  name?: string | undefined
  description?: string | undefined
  trigger: CampaignTrigger
  pre_trigger_ms?: number | undefined
  post_trigger_ms?: number | undefined
  signals?: SignalItem[] | undefined
  frames?: FrameItem[] | undefined
  priority?: number | undefined
  start?: string | undefined
  expiry?: string | undefined
  compression?: 'zlib' | 'none' | undefined
  spooling?: 'disk' | 'none' | undefined
  partitions?: Partition[] | undefined
  dimensions?: string[] | undefined
  compatibility?: boolean | undefined
}

export const DEFAULT_PARTITION = 'default'

/** What a new campaign begins with: the seconds around a moment that is still to be said. */
export const blank = (): CampaignDocument => ({
  id: '',
  trigger: { when: '', mode: 'RISING_EDGE', minimum_interval_ms: 10_000 },
  pre_trigger_ms: 30_000,
  post_trigger_ms: 5_000,
  signals: [],
})

/** An id made of a name: lower case, what may stand in an id, at most 100 characters. */
export const idFrom = (name: string): string =>
  name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 100)

/** Without what is empty; what the form does not know stays as it is. */
export function cleaned(document: CampaignDocument): CampaignDocument {
  const keep = <V>(value: V): V => {
    if (Array.isArray(value)) return value.map(keep) as V
    if (typeof value !== 'object' || value === null) return value
    const pairs = Object.entries(value)
      .map(([key, one]) => [key, keep(one)] as const)
      .filter(([, one]) => !isEmpty(one))
    return Object.fromEntries(pairs) as V
  }
  const kept = keep(document)
  const { id = '', version, name, description, trigger, ...rest } = kept
  const head = Object.entries({ id, version, name, description, trigger: trigger ?? {} })
  return {
    ...Object.fromEntries(head.filter(([, one]) => one !== undefined)),
    ...rest,
  } as unknown as CampaignDocument
}

const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === false ||
  (typeof value === 'number' && Number.isNaN(value)) ||
  (Array.isArray(value) && value.length === 0)

/** A document typed as JSON, if it has the shape that the form can show; else why not. */
export function parseDocument(text: string): CampaignDocument | string {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (reason) {
    return (reason as SyntaxError).message
  }
  if (!isObject(found)) return '{ … }'
  if (!isObject(found['trigger'])) return 'trigger: { … }'
  for (const list of ['signals', 'frames', 'partitions', 'dimensions'])
    if (found[list] !== undefined && !Array.isArray(found[list])) return `${list}: [ … ]`
  for (const list of ['signals', 'frames', 'partitions'])
    if (((found[list] ?? []) as unknown[]).some((one) => !isObject(one)))
      return `${list}: [{ … }]`
  return { id: '', ...found } as unknown as CampaignDocument
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** One end of a word that an error at a character is about: what is marked in the editor. */
export function wordAt(text: string, position: number): [number, number] {
  const from = Math.max(0, Math.min(position, text.length))
  if (from === text.length) return [Math.max(0, from - 1), from]
  const word = /^[\w.$`']+/.exec(text.slice(from))?.[0] ?? text[from] ?? ''
  return [from, from + Math.max(1, word.length)]
}

/** The 0-based character that a refusal of an expression names, and what it says of it. */
export function positioned(detail: string): { position: number | null; reason: string } {
  const told = /^position (\d+): (.*)$/s.exec(detail)
  return told
    ? { position: Number(told[1]) - 1, reason: told[2] ?? '' }
    : { position: null, reason: detail }
}

/** How many samples a signal can have at its interval in the window; null where that is open. */
export function samplesInWindow(document: CampaignDocument, item: SignalItem): number | null {
  const window = (document.pre_trigger_ms ?? 0) + (document.post_trigger_ms ?? 0)
  if (document.pre_trigger_ms === undefined || !item.min_interval_ms) return null
  return Math.floor(window / item.min_interval_ms) + 1
}
