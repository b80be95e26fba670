import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { JobFollow } from './follow.svelte'

class Source {
  static opened: Source[] = []
  onerror: (() => void) | null = null
  closed = false
  constructor(readonly url: string) {
    Source.opened.push(this)
  }
  addEventListener(): void {}
  close(): void {
    this.closed = true
  }
}

describe('a job that is followed', () => {
  beforeEach(() => {
    Source.opened = []
    vi.stubGlobal('EventSource', Source)
  })
  afterEach(() => void vi.unstubAllGlobals())

  const answer = (): Promise<Response> =>
    Promise.resolve(new Response(JSON.stringify({ id: 'j', state: 'running' })))

  it('opens one stream, which its end closes', async () => {
    vi.stubGlobal('fetch', answer)
    const follow = new JobFollow('j')
    await follow.start()
    expect(Source.opened.map((one) => one.closed)).toEqual([false])
    follow.stop()
    expect(Source.opened.map((one) => one.closed)).toEqual([true])
  })
  it('opens none after it was stopped', async () => {
    vi.stubGlobal('fetch', answer)
    const follow = new JobFollow('j')
    const begun = follow.start()
    follow.stop()
    await begun
    expect(Source.opened).toEqual([])
  })
  it('is not tried again after it was stopped', async () => {
    vi.useFakeTimers()
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('no network')))
    const follow = new JobFollow('j')
    const begun = follow.start()
    follow.stop()
    await begun
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
  })
})
