// A campaign while it is written: the document, the vehicles it is for, and what the server finds
// wrong with it each time the typing rests.
import {
  blank,
  cleaned,
  DEFAULT_PARTITION,
  idFrom,
  positioned,
  samplesInWindow,
  type CampaignDocument,
  type SignalItem,
} from './campaign-document'
import { campaigns, everywhere, type Check, type Finding, type Target } from './campaigns'
import type { FormState } from './form.svelte'
import { ApiProblem } from './http'

const REST_MS = 300

export class CampaignDraft {
  document = $state<CampaignDocument>(blank())
  target = $state<Target>(everywhere())
  findings = $state.raw<Finding[]>([])
  /** what is odd, but may be so */
  remarks = $state.raw<Finding[]>([])
  /** the last answer is about what stands in the form now */
  checked = $state(false)
  /** why it cannot be checked now */
  problem = $state.raw<ApiProblem | null>(null)
  #asked: AbortController | undefined
  #resting: ReturnType<typeof setTimeout> | undefined

  constructor(
    /** an id that stands is kept */
    readonly fixed: boolean,
    given?: { document: CampaignDocument; target?: Target },
  ) {
    if (given) this.document = structuredClone(given.document)
    if (given?.target) this.target = structuredClone(given.target)
  }

  readonly timed = $derived(this.document.trigger.every_ms !== undefined)
  /** What is sent: without what is empty. */
  readonly clean = $derived(cleaned($state.snapshot(this.document) as CampaignDocument))
  readonly text = $derived(JSON.stringify(this.clean, null, 2))
  /** It has all that a campaign must have. */
  readonly whole = $derived(this.clean.id !== '' && (this.timed || !!this.clean.trigger.when))
  readonly partitions = $derived([
    ...new Set([DEFAULT_PARTITION, ...(this.document.partitions ?? []).map(({ id }) => id)]),
  ])
  readonly paths = $derived((this.document.signals ?? []).map(({ path }) => path))

  /** A name gives the id, until somebody writes another. */
  name(text: string): void {
    const follows = !this.fixed && this.document.id === idFrom(this.document.name ?? '')
    this.document.name = text
    if (follows) this.document.id = idFrom(text)
  }

  /** From a condition to a period, or back: what was written is kept for the way back. */
  timing(timed: boolean): void {
    if (timed === this.timed) return
    const { trigger } = this.document
    if (timed) this.#condition = trigger
    this.document.trigger = timed
      ? { every_ms: 60_000 }
      : (this.#condition ?? { when: '', mode: 'RISING_EDGE' })
  }
  #condition: CampaignDocument['trigger'] | undefined

  /** One more signal, as often as the one before it; all of its samples around a trigger. */
  add(path: string): void {
    if (this.paths.includes(path)) return
    const items = this.document.signals ?? []
    const like = items.at(-1)
    const item: SignalItem = { path, min_interval_ms: like?.min_interval_ms ?? 100 }
    const all = this.timed ? null : samplesInWindow(this.document, item)
    item.max_samples = like?.max_samples ?? all ?? 100
    this.document.signals = [...items, item]
  }

  /** What the server says of a field. */
  at(field: string): Finding | null {
    return this.findings.find((one) => one.field === field) ?? null
  }

  /** Asked soon, for what stands in the form then; the answer goes to the fields of `form`. */
  checkSoon(form: FormState): void {
    this.checked = false
    this.#asked?.abort() // its answer is about what stood there before
    clearTimeout(this.#resting)
    this.#resting = setTimeout(() => void this.check(form), REST_MS)
  }

  async check(form: FormState): Promise<void> {
    this.#asked?.abort()
    const mine = (this.#asked = new AbortController())
    try {
      const found = await campaigns.check(this.#readable(), mine.signal)
      if (mine !== this.#asked) return
      this.#tell(found, form)
    } catch (reason) {
      if (mine.signal.aborted) return
      if (!(reason instanceof ApiProblem)) throw reason
      this.problem = reason
    }
  }

  /** A refusal of saving: at its fields, as a check tells them. */
  refused(problem: ApiProblem, form: FormState): void {
    this.findings = problem.errors.map(({ field, detail }) => {
      const { position, reason } = positioned(detail)
      return { field, reason, position }
    })
    form.problem = problem
  }

  stop(): void {
    clearTimeout(this.#resting)
    this.#asked?.abort()
  }

  /** All of the form, also what is not filled in yet. */
  get written(): { document: CampaignDocument; target: Target } {
    return { document: $state.snapshot(this.document) as CampaignDocument, target: this.wanted }
  }

  get wanted(): Target {
    return $state.snapshot(this.target) as Target
  }

  /** With words for what is still to be written, so that the rest can be checked already. */
  #readable(): CampaignDocument {
    const { trigger } = this.clean
    const open = trigger.every_ms === undefined && !trigger.when
    return {
      ...this.clean,
      id: this.clean.id || 'new',
      trigger: open ? { ...trigger, when: 'true' } : trigger,
    }
  }

  #tell(found: Check, form: FormState): void {
    this.findings = found.errors
    this.remarks = found.remarks
    this.problem = null
    this.checked = true
    const errors = found.errors.map(({ field, reason }) => ({ field, detail: reason }))
    form.problem = errors.length > 0 ? new ApiProblem(400, '', '', errors) : null
  }
}
