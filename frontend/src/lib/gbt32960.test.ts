import { describe, expect, it } from 'vitest'
import { layout } from './gbt32960'

const VIN = 'LTESTVNA0A0000001'

/** A frame around a data unit; `start` 0x23 is the 2016 edition, 0x24 that of 2025. */
function frame(start: number, command: number, unit: number[], encryption = 1): Uint8Array {
  const body = [
    command,
    0xfe,
    ...[...VIN].map((one) => one.charCodeAt(0)),
    encryption,
    unit.length >> 8,
    unit.length & 0xff,
    ...unit,
  ]
  return Uint8Array.from([start, start, ...body, body.reduce((sum, byte) => sum ^ byte, 0)])
}

const TIME = [26, 1, 2, 3, 4, 5]
const VEHICLE_2016 = [
  1, 1, 3, 1, 0x01, 0xf4, 0, 0, 0x27, 0x10, 0x0e, 0x10, 0x27, 0x10, 57, 1, 14, 0x0b, 0xb8, 20, 0,
]

const named = (bytes: Uint8Array, name: string) => layout(bytes).find((one) => one.name === name)

describe('layout', () => {
  it('covers every byte once, in order', () => {
    const bytes = frame(0x23, 2, [...TIME, ...VEHICLE_2016])
    let at = 0
    for (const segment of layout(bytes)) {
      expect(segment.offset).toBe(at)
      at += segment.size
    }
    expect(at).toBe(bytes.length)
  })

  it('gives physical values', () => {
    const bytes = frame(0x23, 2, [...TIME, ...VEHICLE_2016])
    expect(named(bytes, 'vin')?.value).toBe(VIN)
    expect(named(bytes, 'time')?.value).toBe('2026-01-02 03:04:05 +08:00')
    expect(named(bytes, 'speed_kmh')).toMatchObject({ value: '50.0', unit: 'km/h', offset: 34 })
    expect(named(bytes, 'current_a')?.value).toBe('0.0')
    expect(named(bytes, 'insulation_kohm')?.value).toBe('3000')
  })

  it('reads the current of 2025 with its own offset', () => {
    const vehicle = [...VEHICLE_2016.slice(0, 12), 0x75, 0x30, ...VEHICLE_2016.slice(14, 19)]
    expect(named(frame(0x24, 2, [...TIME, ...vehicle]), 'current_a')?.value).toBe('0.0')
  })

  it('names sentinels instead of numbers', () => {
    const vehicle = [...VEHICLE_2016]
    vehicle[4] = 0xff
    vehicle[5] = 0xff
    vehicle[14] = 0xfe
    const bytes = frame(0x23, 2, [...TIME, ...vehicle])
    expect(named(bytes, 'speed_kmh')?.value).toBe('invalid')
    expect(named(bytes, 'soc_pct')?.value).toBe('abnormal')
  })

  it('follows counts into lists', () => {
    const voltages = [8, 1, 1, 0x0e, 0x10, 0x27, 0x10, 0, 2, 0, 1, 2, 0x0e, 0x74, 0x0e, 0x75]
    const cells = layout(frame(0x23, 2, [...TIME, ...voltages])).filter((one) =>
      one.name.startsWith('cell_v'),
    )
    expect(cells.map((one) => one.value)).toEqual(['3.700', '3.701'])
    expect(cells[0]?.group).toBe('voltages 1')
  })

  it('keeps the rest as bytes where it stops knowing', () => {
    const unknown = layout(frame(0x23, 2, [...TIME, 0x33, 1, 2, 3]))
    expect(unknown.at(-2)).toMatchObject({ name: 'data', size: 4, value: null })
    const overrun = layout(frame(0x23, 2, [...TIME, 0x81, 0x01, 0x00, 9]))
    expect(overrun.at(-2)).toMatchObject({ name: 'data', size: 1 })
    const sealed = layout(frame(0x23, 2, [...TIME, ...VEHICLE_2016], 3))
    expect(sealed.at(-2)).toMatchObject({ name: 'data', size: 27 })
  })

  it('never reads past any truncation', () => {
    const bytes = frame(0x24, 2, [...TIME, ...VEHICLE_2016.slice(0, 19), 0xff, 1, 0, 2, 9, 9])
    for (let size = 0; size <= bytes.length; size++) {
      const covered = layout(bytes.subarray(0, size)).reduce((sum, one) => sum + one.size, 0)
      expect([0, size]).toContain(covered)
    }
  })
})
