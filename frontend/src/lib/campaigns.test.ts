import { expect, test } from 'vitest'
import {
  blank,
  cleaned,
  idFrom,
  parseDocument,
  positioned,
  samplesInWindow,
  wordAt,
} from './campaign-document'
import { hasCurve, stretch } from './campaign-event'
import {
  nextSteps,
  onRequest,
  overTime,
  span,
  standing,
  type Campaign,
  type CampaignVersion,
  type CollectedEvent,
  type Used,
  type VehicleProgress,
} from './campaigns'

const campaign = (state: Campaign['state'], more: Partial<Campaign> = {}): Campaign => ({
  id: 'hard-braking', name: '', state, version: 1, approved_version: null, running_version: null,
  next_version: null, next_percent: 0, actor: 'admin', created: '', updated: '', ended: null,
  ...more,
})
const steps = (one: Campaign): string[] => nextSteps(one).map(({ step }) => step)

test('a name gives an id of what may stand in one', () => {
  expect(idFrom('Hard braking, São Paulo!')).toBe('hard-braking-sa-o-paulo')
  expect(idFrom('急刹车')).toBe('')
  expect(idFrom('x'.repeat(300))).toHaveLength(100)
})

test('what is empty is not sent, and what the form does not know stays', () => {
  const given = {
    ...blank(), id: 'a', name: '', description: undefined, frames: [], extra: { b: 1 },
    signals: [{ path: 'Vehicle.Speed', max_samples: NaN, condition_only: false, window_ms: 500 }],
  }
  expect(cleaned(given)).toEqual({
    id: 'a',
    trigger: { mode: 'RISING_EDGE', minimum_interval_ms: 10_000 },
    pre_trigger_ms: 30_000,
    post_trigger_ms: 5_000,
    signals: [{ path: 'Vehicle.Speed', window_ms: 500 }],
    extra: { b: 1 },
  })
  expect(cleaned({ ...blank(), pre_trigger_ms: 0 }).pre_trigger_ms).toBe(0)
})

test('typed JSON goes into the form where it has its shape', () => {
  const text = '{"id": "a", "trigger": {"every_ms": 1000}, "signals": [{"path": "Vehicle.Speed"}]}'
  expect(parseDocument(text)).toEqual(JSON.parse(text))
  for (const wrong of [
    '{', '[]', '{"id": "a"}', '{"trigger": {}, "signals": {}}', '{"trigger": {}, "frames": [1]}',
  ])
    expect(typeof parseDocument(wrong)).toBe('string')
})

test('an error is marked at its word', () => {
  expect(wordAt('Vehicle.Sped > 1', 0)).toEqual([0, 12])
  expect(wordAt('a > > 1', 4)).toEqual([4, 5])
  expect(wordAt('a >', 3)).toEqual([2, 3])
  expect(wordAt('', 5)).toEqual([0, 0])
  expect(positioned('position 5: expected a value')).toEqual({
    position: 4, reason: 'expected a value',
  })
  expect(positioned('is missing')).toEqual({ position: null, reason: 'is missing' })
})

test('a window tells how many samples it can hold', () => {
  const item = { path: 'Vehicle.Speed', min_interval_ms: 100 }
  expect(samplesInWindow(blank(), item)).toBe(351)
  expect(samplesInWindow(blank(), { path: 'Vehicle.Speed' })).toBeNull()
  expect(samplesInWindow({ ...blank(), pre_trigger_ms: undefined }, item)).toBeNull()
})

test('times are told as people say them', () => {
  expect([500, 1000, 2500, 60_000, 120_000, 90_000, 3_600_000].map(span)).toEqual([
    '500 ms', '1 s', '2.5 s', '60 s', '2 min', '90 s', '1 h',
  ])
})

test('what can be done with a campaign follows from how it stands', () => {
  expect(steps(campaign('draft'))).toEqual(['approve', 'delete'])
  expect(steps(campaign('approved', { approved_version: 1 }))).toEqual(['start', 'delete'])
  const runs = { approved_version: 1, running_version: 1 }
  expect(steps(campaign('running', runs))).toEqual(['pause', 'end'])
  expect(steps(campaign('running', { ...runs, version: 2 }))).toEqual(['approve', 'pause', 'end'])
  const switching = { ...runs, version: 2, approved_version: 2 }
  expect(steps(campaign('running', switching))).toEqual(['start', 'pause', 'end'])
  expect(steps(campaign('paused', runs))).toEqual(['resume', 'end'])
  expect(steps(campaign('ended', { approved_version: 1 }))).toEqual(['delete'])
})

test('what stays in vehicles is of the versions that they hold', () => {
  const version = (number: number, ...asked: string[]): CampaignVersion => ({
    version: number, target: { vehicles: [], models: [], labels: [], percent: 100 }, note: '',
    document: {
      ...blank(),
      partitions: [{ id: 'default' }, ...asked.map((id) => ({ id, upload: 'on_request' as const }))],
    },
    actor: 'admin', created: '', approver: null, approved: null,
  })
  const versions = [version(3, 'newest'), version(2, 'slow', 'raw'), version(1, 'slow')]
  const ids = (more: Partial<Campaign>): string[] =>
    onRequest(campaign('running', more), versions).map(({ id }) => id)
  expect(ids({ running_version: 1 })).toEqual(['slow'])
  expect(ids({ running_version: 1, next_version: 2 })).toEqual(['slow', 'raw'])
  expect(ids({ version: 3 })).toEqual([])
})

test('a vehicle stands as what it says of the version that it should have', () => {
  const vehicle = (more: Partial<VehicleProgress>): VehicleProgress => ({
    vehicle: 'v', wanted: 2, put: 2, held: 2, result: 'active', reason: '', told: null,
    counters: {}, forwarding: [], collected: { events: 0, samples: 0, bytes: 0, last: null }, ...more,
  })
  expect(standing(vehicle({}))).toBe('holding')
  expect(standing(vehicle({ result: 'refused', reason: 'no memory' }))).toBe('refused')
  expect(standing(vehicle({ result: 'waiting' }))).toBe('waiting')
  expect(standing(vehicle({ held: 1 }))).toBe('older')
  expect(standing(vehicle({ held: null, result: '' }))).toBe('waiting')
  expect(standing(vehicle({ result: 'paused' }))).toBe('waiting')
  expect(standing(vehicle({ wanted: null }))).toBe('leaving')
  expect(standing(vehicle({ wanted: null, result: 'paused' }))).toBe('paused')
})

test('the samples of an event lie around its trigger', () => {
  const event = { time: '2026-05-01T10:00:00.250Z' } as CollectedEvent
  const at = Date.parse(event.time)
  expect(stretch(event, blank())).toEqual([at - 30_050, at + 5_050])
  expect(stretch(event, { id: 'a', trigger: { every_ms: 1000 } })).toEqual([at - 60_050, at + 50])
  const used = (datatype: string): Used => ({
    path: 'Vehicle.X', datatype, unit: null, allowed: [], collected: true, read: false,
  })
  expect(['float', 'boolean', 'string', 'uint8[]'].map((one) => hasCurve(used(one)))).toEqual([
    true, true, false, false,
  ])
})

test('events are counted in even slots, parts of one event once', () => {
  const event = (time: string, number: number) => ({
    vehicle: 'v', version: 1, event: number, time,
  })
  const found = overTime(
    [
      event('2026-05-01T10:00:30Z', 1),
      event('2026-05-01T10:00:30Z', 1),
      event('2026-05-01T10:03:10Z', 2),
      event('2026-05-01T10:03:50Z', 3),
    ],
    Date.parse('2026-05-01T10:05:10Z'),
  )
  expect(found.width).toBe(60)
  expect(found.times[0]).toBe(Date.parse('2026-05-01T10:00:00Z') / 1000)
  expect(found.counts).toEqual([1, 0, 0, 2, 0, 0])
  expect(overTime([], 0)).toEqual({ times: [], counts: [], width: 0 })
})
