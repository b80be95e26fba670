import { describe, expect, it } from 'vitest'
import { instant } from './format'
import { alignSeries, limits, scaleNames } from './plot'
import { isNumber, scalesBySize, typeName } from './result'
import { readableUnit } from './signals'
import { elementOf, freeElement, parseSlots, parseSpan, slotsText } from './slots'

describe('slots', () => {
  it('are read and written', () => {
    const slots = parseSlots('A.b~C.d,E[3]')
    expect(slots).toEqual([['A.b', 'C.d'], ['E[3]']])
    expect(slotsText(slots)).toBe('A.b~C.d,E[3]')
    expect(parseSlots(',~,a~a')).toEqual([['a']])
    expect(parseSlots('a~b~c~d')[0]).toHaveLength(3)
    expect(parseSlots(Array.from({ length: 20 }, (_, i) => `s${i}`).join())).toHaveLength(8)
  })
  it('know elements of arrays', () => {
    expect(elementOf('A.Cells[12]')).toEqual({ array: 'A.Cells', index: 12 })
    expect(elementOf('A.Cells')).toBeNull()
    expect(freeElement('A', 3, ['A[0]', 'A[1]'])).toBe('A[2]')
    expect(freeElement('A', 1, ['A[0]'])).toBe('A[0]')
  })
  it('know the stretch of time', () => {
    expect(parseSpan('', '', '')).toEqual({ seconds: 900, from: null, to: null })
    expect(parseSpan('3600', '1000', '5000')).toEqual({ seconds: 3600, from: 1000, to: 5000 })
    expect(parseSpan('-1', '5000', '1000')).toEqual({ seconds: 900, from: null, to: null })
  })
})

describe('plots', () => {
  const series = (unit: string, times: number[]) => ({
    unit,
    time_ms: times,
    min: times.map(() => 1000),
    max: times.map(() => 3000),
    mean: times.map(() => 2000),
  })
  it('put a second unit on a second scale', () => {
    expect(scaleNames(['V', 'V', 'A'])).toEqual(['y', 'y', 'y2'])
    expect(scaleNames([null, undefined])).toEqual(['y', 'y'])
  })
  it('align signals with other times', () => {
    const data = alignSeries([series('W', [1000, 2000]), series('V', [2000, 3000])], [0.001])
    expect(data[0]).toEqual([1, 2, 3])
    expect(data[3]?.[0]).toBe(2)
    expect(data[6]?.[2]).toBe(2000)
    expect(alignSeries([undefined])).toEqual([[], [], [], []])
  })
  it('keep flat lines in the middle and zero at the bottom', () => {
    expect(limits(72, 72)).toEqual([70.56, 73.44])
    expect(limits(0, 100)).toEqual([0, 108])
    expect(limits(null, null)).toEqual([0, 1])
  })
  it('use units that read well', () => {
    expect(readableUnit('W')).toEqual({ unit: 'kW', factor: 0.001 })
    expect(readableUnit('Ohm')).toEqual({ unit: 'kΩ', factor: 0.001 })
    expect(readableUnit('V')).toEqual({ unit: 'V', factor: 1 })
    expect(readableUnit(null)).toEqual({ unit: '', factor: 1 })
  })
})

describe('results', () => {
  it('name types briefly', () => {
    expect(typeName('timestamp[us, tz=UTC]')).toBe('timestamp')
    expect(typeName('date32[day]')).toBe('date')
    expect(typeName('list<item: float>')).toBe('float[]')
    expect(typeName('int64')).toBe('int64')
  })
  it('know numbers of every engine', () => {
    for (const type of ['int64', 'uint8', 'double', 'float', 'BIGINT', 'decimal128(38, 0)'])
      expect(isNumber({ name: 'x', type }), type).toBe(true)
    expect(isNumber({ name: 'x', type: 'list<item: float>' })).toBe(false)
  })
  it('give small columns a scale of their own', () => {
    expect(scalesBySize([[18_000, null], [300], [40], [0]])).toEqual(['y', 'y2', 'y2', 'y'])
    expect(scalesBySize([])).toEqual([])
  })
  it('show instants in UTC', () => {
    expect(instant('2026-01-02T03:04:05.000000Z', false)).toBe('2026-01-02 03:04:05')
    expect(instant('2026-01-02T03:04:05.678Z', false)).toBe('2026-01-02 03:04:05.678')
    expect(instant('no time', false)).toBe('no time')
  })
})
