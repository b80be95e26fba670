import { describe, expect, it } from 'vitest'
import { Paged } from './paged.svelte'
import type { Page } from './types'

describe('a list of pages', () => {
  it('is settled when the newest page has come', async () => {
    const answers: ((page: Page<string>) => void)[] = []
    const list = new Paged<string>(() => new Promise((done) => answers.push(done)))
    const answer = (at: number, ...items: string[]): void =>
      answers[at]?.({ items, next_cursor: null, total: null } as unknown as Page<string>)
    void list.load()
    let seen: string[] | null = null
    const settled = list.settled().then(() => (seen = list.items))
    void list.load() // another folder, say
    answer(0, 'old')
    await new Promise((later) => setTimeout(later))
    expect(seen).toBeNull()
    answer(1, 'new')
    await settled
    expect(seen).toEqual(['new'])
  })
})
