// A text of which one version holds: what holds, its earlier versions, and what somebody makes of it.
import { draft, keepDraft } from './drafts'
import { ApiProblem, type Tagged } from './http'
import type { Page } from './types'

const REST_MS = 350

interface Held {
  version: number
  text: string
}
export interface Version {
  version: number
  created: string | null
  actor: string
  note: string
}
/** Kept while it is not saved; `etag` is of the version that it was made from. */
interface Draft {
  etag: string | null
  text: string
  note: string
}

export abstract class VersionedText<
  H extends Held,
  V extends Version,
  E extends { version: number | null },
> {
  held = $state.raw<H | null>(null)
  versions = $state.raw<V[]>([])
  text = $state('')
  note = $state('')
  /** null while it is not known */
  effect = $state.raw<E | null>(null)
  problem = $state.raw<ApiProblem | null>(null)
  saving = $state(false)
  /** an earlier version that is looked at */
  looked = $state.raw<H | null>(null)
  more = $state(false)
  #etag: string | null = null
  #next: string | null = null
  #waiting: ReturnType<typeof setTimeout> | undefined
  #questions = 0
  #looks = 0

  /** it may be changed: what holds has been read, and nothing is on its way that replaces the text */
  open = $derived(this.held !== null && !this.saving && !this.replacing())
  changed = $derived(this.held !== null && (this.text !== this.held.text || this.extra()))
  /** somebody saved another since */
  late = $derived(this.problem?.status === 412)

  /** under which a draft is kept */
  protected abstract readonly name: string
  protected abstract read(): Promise<Tagged<H>>
  protected abstract list(cursor: string | null): Promise<Page<V>>
  protected abstract one(version: number): Promise<H>
  protected abstract ask(text: string): Promise<E>
  protected abstract write(text: string, note: string, etag: string | null): Promise<E>

  /** More than the text differs from what holds. */
  protected extra(): boolean {
    return false
  }
  /** A text that somebody asked for is on its way. */
  protected replacing(): boolean {
    return false
  }
  /** What a draft holds besides, and what becomes of that later. */
  protected besides(): object {
    return {}
  }
  protected restore(_kept: object): void {}
  protected forget(): void {}

  /** What holds now; a text that somebody has changed stays. */
  load = async (): Promise<void> => {
    await this.attempt(async () => {
      const { value, etag } = await this.read()
      const keep = this.changed
      const kept = keep || this.held ? null : draft<Draft>(this.name)
      this.held = value
      this.#etag = etag
      if (keep) {
        this.#keep()
        this.#check()
      } else if (kept) {
        this.#etag = kept.etag // where another was saved since, saving tells it
        this.note = kept.note
        this.restore(kept)
        this.put(kept.text)
      } else this.put(value.text)
      await this.#list(null)
    })
  }

  older = (): Promise<void> => this.attempt(() => this.#list(this.#next))

  look = (version: number): Promise<void> =>
    this.attempt(async () => {
      const look = ++this.#looks
      const found = version === this.held?.version ? this.held : await this.one(version)
      if (look === this.#looks) this.looked = found
    })

  /** Another text, or another of what belongs to it; it is checked when typing rests. */
  put = (text: string): void => {
    this.text = text
    this.effect = null
    this.#questions++
    this.#keep()
    clearTimeout(this.#waiting)
    if (this.changed) this.#waiting = setTimeout(this.#check, REST_MS)
  }

  discard = (): void => {
    this.forget()
    this.note = ''
    this.put(this.held?.text ?? '')
  }

  /** The number of the version that holds now; null where it was not saved. */
  save = async (): Promise<number | null> => {
    this.saving = true
    let version: number | null = null
    try {
      await this.attempt(async () => {
        version = (await this.write(this.text, this.note, this.#etag)).version
        this.forget()
        this.held = null
        this.note = ''
        keepDraft(this.name, null)
      })
      if (version !== null) await this.load()
    } finally {
      this.saving = false
    }
    return version
  }

  stop = (): void => clearTimeout(this.#waiting)

  protected async attempt(step: () => Promise<void>): Promise<void> {
    try {
      await step()
      this.problem = null
    } catch (reason) {
      if (!(reason instanceof ApiProblem)) throw reason
      this.problem = reason
    }
  }

  /** Only the answer to the newest question counts: the text may change while one is out. */
  #check = (): void => {
    const question = ++this.#questions
    void this.ask(this.text).then(
      (told) => {
        if (question !== this.#questions) return
        this.effect = told
        this.problem = null
      },
      (reason: unknown) => {
        if (!(reason instanceof ApiProblem)) throw reason
        if (question === this.#questions) this.problem = reason
      },
    )
  }

  #keep(): void {
    const { text, note } = this
    const kept = { etag: this.#etag, text, note, ...this.besides() }
    keepDraft(this.name, this.changed ? kept : null)
  }

  async #list(cursor: string | null): Promise<void> {
    const page = await this.list(cursor)
    this.versions = cursor ? [...this.versions, ...page.items] : page.items
    this.#next = page.next_cursor
    this.more = page.next_cursor !== null
  }
}
