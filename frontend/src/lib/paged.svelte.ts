import { ApiProblem } from './http'
import type { Page } from './types'

/** A list that the server gives page by page: the pages so far, and whether there are more. */
export class Paged<Row> {
  items = $state.raw<Row[]>([])
  next = $state.raw<string | null>(null)
  total = $state.raw<number | null>(null)
  busy = $state(true)
  problem = $state.raw<ApiProblem | null>(null)
  #ask: (cursor: string | null, signal: AbortSignal) => Promise<Page<Row>>
  #asked: AbortController | undefined
  #last: Promise<void> | undefined

  constructor(ask: (cursor: string | null, signal: AbortSignal) => Promise<Page<Row>>) {
    this.#ask = ask
  }

  /** From the start; what an earlier call still waits for is dropped. */
  load = (): Promise<void> => (this.#last = this.#page(null))

  more = (): Promise<void> => (this.#last = this.#page(this.next))

  /** Returns when nothing is waited for any more. */
  async settled(): Promise<void> {
    for (let last: unknown; last !== this.#last; ) {
      last = this.#last
      await last
    }
  }

  async #page(cursor: string | null): Promise<void> {
    this.#asked?.abort()
    const mine = (this.#asked = new AbortController())
    this.busy = true
    try {
      const page = await this.#ask(cursor, mine.signal)
      if (mine !== this.#asked) return
      this.items = cursor ? [...this.items, ...page.items] : page.items
      this.next = page.next_cursor
      this.total = page.total ?? this.total
      this.problem = null
    } catch (reason) {
      if (mine.signal.aborted) return
      if (!(reason instanceof ApiProblem)) throw reason
      this.problem = reason
    } finally {
      if (mine === this.#asked) this.busy = false
    }
  }
}
