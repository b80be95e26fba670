import { expect, test } from 'vitest'
import { argumentOf, patchOf, type Argument } from './commands'

const argument = (kind: Argument['kind']): Argument => ({
  name: 'a', kind, help: '', needed: false, least: null, most: null, choices: [], secret: false,
})

test('typed arguments become JSON', () => {
  expect(argumentOf(argument('whole'), ' 5 ')).toBe(5)
  expect(argumentOf(argument('flag'), 'true')).toBe(true)
  expect(argumentOf(argument('text'), '5')).toBe('5')
  expect(argumentOf(argument('list'), 'a, b')).toEqual(['a', 'b'])
  expect(argumentOf(argument('list'), '[1, 2]')).toEqual([1, 2])
  expect(argumentOf(argument('object'), '{"a": 1}')).toEqual({ a: 1 })
  expect(argumentOf(argument('whole'), '')).toBeUndefined()
  expect(argumentOf(argument('whole'), 'x')).toBe('x')
})

test('a patch leads from one state to the other', () => {
  const before = { a: 1, b: { c: 2, d: 3 }, e: [1] }
  expect(patchOf(before, before)).toEqual({})
  expect(patchOf(before, { a: 1, b: { c: 2 }, e: [2], f: true })).toEqual({
    b: { d: null }, e: [2], f: true,
  })
  expect(patchOf(before, {})).toEqual({ a: null, b: null, e: null })
})
