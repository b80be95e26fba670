import { afterEach, describe, expect, it, vi } from 'vitest'
import { api } from './api'
import { live } from './live.svelte'
import { TwinState } from './twin.svelte'
import type { Twin, TwinEvent } from './types'

const SPEED = 'Vehicle.Speed'
const at = (second: number): number => Date.UTC(2026, 4, 1, 12, 0, second)
const told = (speed: number, second: number): TwinEvent => ({ signals: { [SPEED]: [speed, at(second)] } })
const whole = (speed: number, second: number): Twin =>
  ({
    signals: {
      [SPEED]: { value: speed, time: new Date(at(second)).toISOString(), unit: 'km/h', flagged: false },
    },
  }) as unknown as Twin

describe('the twin of a vehicle', () => {
  afterEach(() => void vi.restoreAllMocks())

  it('keeps what has been told since the server was asked for all of it', () => {
    const twin = new TwinState()
    twin.apply(told(80, 20))
    twin.start(whole(50, 10))
    expect(twin.signals[SPEED]).toMatchObject({ value: 80, time: at(20), unit: 'km/h' })
    expect(twin.recent(SPEED)).toEqual([80])
    twin.apply(told(90, 30))
    expect(twin.recent(SPEED)).toEqual([80, 90])
  })

  it('asks for units when a vehicle first reports while somebody looks', async () => {
    let tell: (event: TwinEvent) => void = () => undefined
    vi.spyOn(live, 'watch').mockImplementation((_, take) => {
      tell = take
      return () => undefined
    })
    const asked = vi.spyOn(api, 'twin').mockRejectedValueOnce(new Error('never reported'))
    const twin = new TwinState()
    twin.follow('V')
    asked.mockResolvedValue(whole(50, 10))
    tell(told(50, 10))
    await vi.waitFor(() => expect(twin.signals[SPEED]?.unit).toBe('km/h'))
    tell(told(60, 20))
    expect(twin.signals[SPEED]).toMatchObject({ value: 60, unit: 'km/h' })
    expect(asked).toHaveBeenCalledTimes(2)
  })
})
