import { afterEach, describe, expect, it, vi } from 'vitest'
import { ApiProblem, json, tagged } from './http'

/** An answer whose connection breaks in the middle of its body. */
function broken(): Response {
  const body = new ReadableStream({
    start(stream) {
      stream.enqueue(new TextEncoder().encode('{"items": ['))
      stream.error(new TypeError('network error'))
    },
  })
  return new Response(body, { status: 200 })
}

describe('an answer', () => {
  afterEach(() => void vi.unstubAllGlobals())

  it('that breaks off in its body is a problem of the network, as one that does not come', async () => {
    for (const ask of [json, tagged]) {
      vi.stubGlobal('fetch', () => Promise.resolve(broken()))
      const refusal = await ask('/v1/vehicles').catch((reason: unknown) => reason)
      expect(refusal).toBeInstanceOf(ApiProblem)
      expect((refusal as ApiProblem).status).toBe(0)
    }
  })

  it('that nobody waits for any more is no problem', async () => {
    const gone = new AbortController()
    vi.stubGlobal('fetch', (_: string, { signal }: RequestInit) => {
      signal?.throwIfAborted()
    })
    gone.abort()
    const refusal = await json('/v1/vehicles', { signal: gone.signal }).catch((reason: unknown) => reason)
    expect((refusal as Error).name).toBe('AbortError')
  })
})
