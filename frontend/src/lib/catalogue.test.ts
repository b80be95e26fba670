import { describe, expect, it } from 'vitest'
import { branchesOf, entryFor, keyStep, matches, rangeText, treeRows, type Wanted } from './catalogue'
import type { CatalogueSignal } from './types'

const signal = (path: string, more: Partial<CatalogueSignal> = {}): CatalogueSignal => ({
  path,
  kind: 'sensor',
  datatype: 'float',
  unit: null,
  min: null,
  max: null,
  allowed: [],
  origin: 'vss',
  deprecated: false,
  description: null,
  vehicles: 0,
  models: [],
  last_seen: null,
  ...more,
})
const ANY: Wanted = { q: '', kind: '', datatype: '', unit: '', model: '', origin: '', reported: '' }
const SOME = [
  signal('Vehicle.ADAS.ABS.IsEngaged', { vehicles: 2, last_seen: '2026-01-01T00:00:00Z' }),
  signal('Vehicle.ADAS.ABS.IsError', { vehicles: 1, last_seen: '2026-01-02T00:00:00Z' }),
  signal('Vehicle.ADAS.Level'),
  signal('Vehicle.ADASystem.Level'),
  signal('Vehicle.Speed', { unit: 'km/h', min: -5, max: 250, models: ['van'] }),
]

describe('the tree of signals', () => {
  it('holds the branches, and what stands in open ones', () => {
    const told = (open: string[]): string[] =>
      treeRows(SOME, (path) => open.includes(path)).map((row) => `${row.depth} ${row.path}`)
    expect(told([])).toEqual(['0 Vehicle.ADAS', '0 Vehicle.ADASystem', '0 Vehicle.Speed'])
    expect(told(['Vehicle.ADAS'])).toEqual([
      '0 Vehicle.ADAS',
      '1 Vehicle.ADAS.ABS',
      '1 Vehicle.ADAS.Level',
      '0 Vehicle.ADASystem',
      '0 Vehicle.Speed',
    ])
    expect(told(['Vehicle.ADAS.ABS'])).toEqual(told([])) // open inside a closed one
  })

  it('counts what is below a branch, open or not', () => {
    const [branch] = treeRows(SOME, () => false)
    expect([branch?.count, branch?.reported, branch?.last]).toEqual([3, 2, '2026-01-02T00:00:00Z'])
  })

  it('is gone through by keys', () => {
    const rows = treeRows(SOME, (path) => path === 'Vehicle.ADAS')
    expect(keyStep('ArrowDown', rows, 0, 10)).toEqual({ to: 1 })
    expect(keyStep('ArrowUp', rows, 0, 10)).toEqual({ to: 0 })
    expect(keyStep('PageDown', rows, 0, 10)).toEqual({ to: 4 })
    expect(keyStep('ArrowRight', rows, 1, 10)).toBe('open')
    expect(keyStep('ArrowRight', rows, 0, 10)).toEqual({ to: 1 })
    expect(keyStep('ArrowLeft', rows, 0, 10)).toBe('close')
    expect(keyStep('ArrowLeft', rows, 2, 10)).toEqual({ to: 0 })
    expect(keyStep('ArrowLeft', rows, 4, 10)).toBeNull()
    expect(keyStep('x', rows, 0, 10)).toBeNull()
  })

  it('knows the branches above a signal', () => {
    expect(branchesOf('Vehicle.ADAS.ABS.IsError')).toEqual(['Vehicle.ADAS', 'Vehicle.ADAS.ABS'])
    expect(branchesOf('Vehicle.Speed')).toEqual([])
  })
})

describe('a search', () => {
  it('finds words in path, type, unit, range and models', () => {
    const found = (more: Partial<Wanted>): string[] =>
      SOME.filter((one) => matches(one, { ...ANY, ...more })).map((one) => one.path)
    for (const q of ['SPEED', 'km/h 250', 'van float', '−5'])
      expect(found({ q })).toEqual(['Vehicle.Speed'])
    expect(found({ unit: 'none' })).toHaveLength(4)
    expect(found({ reported: 'true' })).toHaveLength(2)
    expect(found({ reported: 'false', model: 'van' })).toEqual(['Vehicle.Speed'])
  })

  it('reads ranges with one end, or none', () => {
    expect(rangeText(signal('a', { min: -1.5 }))).toBe('≥ −1.5')
    expect(rangeText(signal('a', { min: 0, max: 0.5 }))).toBe('0 … 0.5')
    expect(rangeText(signal('a', { allowed: ['ON', 'OFF'] }))).toBe('ON, OFF')
    expect(rangeText(signal('a'))).toBe('')
  })
})

it('begins an entry of an overlay with what the signal is', () => {
  expect(entryFor(signal('Vehicle.Gear', { max: 8, allowed: ['P', 'off'] }))).toBe(
    'Vehicle.Gear:\n  type: sensor\n  max: 8\n  allowed: ["P", "off"]\n',
  )
})
