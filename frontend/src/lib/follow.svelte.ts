// Follows one job: its changes and its log, over one stream of events that is opened again where it
// was cut.
import { ApiProblem, withQuery } from './http'
import { isOpen, jobs, type JobDetail } from './jobs'
import { waitBefore } from './live.svelte'

const MOST_CHARS = 400_000 // of log that is shown; all of it is in the file

const sizeOf = (text: string): number => new TextEncoder().encode(text).length

export class JobFollow {
  job = $state.raw<JobDetail | null>(null)
  problem = $state.raw<ApiProblem | null>(null)
  text = $state('')
  /** the beginning of the log is not shown any more */
  cut = $state(false)
  link = $state<'connecting' | 'open' | 'ended' | 'reconnecting'>('connecting')
  #source: EventSource | null = null
  #timer: ReturnType<typeof setTimeout> | undefined
  #tries = 0
  #turn = 0 // what is under way for an earlier one has been stopped
  #attempt = 0
  #offset = 0

  constructor(readonly id: string) {}

  async start(): Promise<void> {
    const mine = this.#turn
    try {
      const job = await jobs.one(this.id) // an event stream hides why it was refused
      if (mine !== this.#turn) return
      this.job = job
      this.problem = null
      this.#open()
    } catch (reason) {
      if (!(reason instanceof ApiProblem)) throw reason
      if (mine !== this.#turn) return
      this.problem = reason
      if (reason.status === 0) this.#later()
    }
  }

  stop(): void {
    this.#turn++
    clearTimeout(this.#timer)
    this.#source?.close()
    this.#source = null
  }

  #open(): void {
    const query = { attempt: this.#attempt, offset: this.#offset }
    const source = new EventSource(withQuery(`/v1/jobs/${this.id}/events`, query))
    this.#source = source
    const on = (name: string, take: (data: string) => void): void =>
      source.addEventListener(name, (message) => {
        if (source !== this.#source) return
        this.link = 'open'
        this.#tries = 0
        take((message as MessageEvent<string>).data)
      })
    on('job', (data) => (this.job = JSON.parse(data) as JobDetail))
    on('log', (data) => this.#logged(JSON.parse(data)))
    // the stream ends with the job, after the last of its log
    source.onerror = () => {
      if (source !== this.#source) return
      this.stop()
      if (this.job && !isOpen(this.job.state)) this.link = 'ended'
      else this.#later()
    }
  }

  #logged(news: { attempt: number; offset: number; text: string }): void {
    if (news.attempt !== this.#attempt && this.text) this.text += '\n'
    this.#attempt = news.attempt
    this.#offset = news.offset + sizeOf(news.text)
    this.text += news.text
    if (this.text.length > MOST_CHARS) {
      this.text = this.text.slice(this.text.indexOf('\n', this.text.length - MOST_CHARS) + 1)
      this.cut = true
    }
  }

  #later(): void {
    this.link = 'reconnecting'
    this.#timer = setTimeout(() => void this.start(), waitBefore(this.#tries++, Math.random()))
  }
}
