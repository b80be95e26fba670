import { describe, expect, it } from 'vitest'
import { turns } from './turns'

describe('turns', () => {
  it('leave out an answer that comes after one to a later question', () => {
    const turn = turns()
    const [first, second] = [turn(), turn()]
    expect(second()).toBe(true)
    expect(first()).toBe(false)
  })

  it('let answers count that take longer than it is asked again', () => {
    const turn = turns()
    const shown: number[] = []
    const out = [turn(), turn()]
    for (let asked = 2; asked < 6; asked++) {
      out.push(turn())
      if (out[asked - 2]?.()) shown.push(asked - 2)
    }
    expect(shown).toEqual([0, 1, 2, 3])
  })
})
