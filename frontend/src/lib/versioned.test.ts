import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiProblem, type Tagged } from './http'
import { VersionedText, type Version } from './versioned.svelte'

interface Held {
  version: number
  text: string
}
interface Effect {
  version: number | null
  of: string
}

/** A text whose answers come when the test lets them. */
class Slow extends VersionedText<Held, Version, Effect> {
  protected readonly name = 'slow'
  kept: Held = { version: 1, text: 'first' }
  reads: (() => void)[] = []
  asked: [string, (effect: Effect) => void][] = []

  protected read(): Promise<Tagged<Held>> {
    const value = this.kept
    return new Promise((done) =>
      this.reads.push(() => done({ value, etag: `"${value.version}"` })),
    )
  }
  protected async list() {
    return { items: [], next_cursor: null, total: null }
  }
  protected async one(version: number) {
    return { version, text: `of ${version}` }
  }
  protected ask(text: string): Promise<Effect> {
    return new Promise((done) => this.asked.push([text, done]))
  }
  protected async write(text: string, _note: string, etag: string | null): Promise<Effect> {
    if (etag !== `"${this.kept.version}"`) throw new ApiProblem(412, 'changed', '')
    this.kept = { version: this.kept.version + 1, text }
    return { version: this.kept.version, of: text }
  }
}

async function loaded(slow: Slow): Promise<void> {
  const loading = slow.load()
  slow.reads.shift()?.()
  await loading
}

describe('a text with versions', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('counts only the answer to what stands there now', async () => {
    const slow = new Slow()
    await loaded(slow)
    slow.put('second')
    vi.runAllTimers()
    slow.put('third')
    vi.runAllTimers()
    const [[, second], [, third]] = slow.asked as [(typeof slow.asked)[0], (typeof slow.asked)[0]]
    third({ version: null, of: 'third' })
    second({ version: null, of: 'second' })
    await vi.runAllTimersAsync()
    expect(slow.effect?.of).toBe('third')
    slow.put('fourth')
    expect(slow.effect).toBeNull()
  })

  it('keeps what is typed while what holds is read anew', async () => {
    const slow = new Slow()
    await loaded(slow)
    const loading = slow.load()
    slow.put('mine')
    slow.reads.shift()?.()
    await loading
    expect([slow.text, slow.held?.text]).toEqual(['mine', 'first'])
  })

  it('tells that somebody saved another, and saves over it once that is read', async () => {
    const slow = new Slow()
    await loaded(slow)
    slow.put('mine')
    slow.kept = { version: 2, text: 'theirs' }
    expect(await slow.save()).toBeNull()
    expect(slow.late).toBe(true)
    await loaded(slow)
    expect([slow.late, slow.text, slow.held?.text]).toEqual([false, 'mine', 'theirs'])
    const saving = slow.save()
    await vi.waitFor(() => expect(slow.reads.length).toBe(1))
    slow.reads.shift()?.()
    expect(await saving).toBe(3)
    expect([slow.changed, slow.held?.text]).toEqual([false, 'mine'])
  })

  it('is open for changes only where none is replaced by what comes', async () => {
    const slow = new Slow()
    const loading = slow.load()
    expect(slow.open).toBe(false)
    slow.reads.shift()?.()
    await loading
    expect(slow.open).toBe(true)
    slow.put('mine')
    const saving = slow.save()
    expect(slow.open).toBe(false)
    await vi.waitFor(() => expect(slow.reads.length).toBe(1))
    expect(slow.open).toBe(false)
    slow.reads.shift()?.()
    await saving
    expect(slow.open).toBe(true)
  })
})
