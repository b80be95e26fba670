import { describe, expect, it } from 'vitest'
import { areas, en } from '../i18n/en'
import { fill, preferred } from '../i18n/index.svelte'
import { zh } from '../i18n/zh'
import { PAGES } from '../pages'
import { ApiProblem, readProblem, withQuery } from './http'
import { Fleet, motionOf } from './fleet'
import { ago, bytes, clock, duration, milliseconds, value } from './format'
import { bytesOf } from './hex'
import { BadLabel, labelsFromText, labelsPatch, labelsToText } from './labels'
import { waitBefore } from './live.svelte'
import { Glides, placeAt, turnToward } from './motion'
import { zoomAbout } from './ranges'
import { plotChoice, plotData, unixSeconds } from './result'
import { parsePath } from './router.svelte'
import { nextSorting, sorted } from './table'
import { trailSegments } from './trail'
import type { FleetRow } from './types'
import { rowWindow } from './virtual'

describe('catalogues', () => {
  it('have the same keys and the same holes', () => {
    expect(Object.keys(zh)).toEqual(Object.keys(en))
    const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort()
    for (const key of Object.keys(en) as (keyof typeof en)[])
      expect(holes(zh[key]), key).toEqual(holes(en[key]))
  })
  it('have no key in two areas', () => {
    const keys = areas.flatMap((area) => Object.keys(area))
    expect(keys.length).toBe(Object.keys(en).length)
  })
  it('pick the language the browser prefers', () => {
    expect(preferred(['de-DE', 'zh-TW', 'en'])).toBe('zh')
    expect(preferred(['en-US', 'zh'])).toBe('en')
    expect(preferred([])).toBe('en')
  })
  it('choose the word that goes with a number', () => {
    const text = '{n} {n:row|rows}'
    expect([0, 1, '1', 2].map((n) => fill(text, { n }))).toEqual(['0 rows', '1 row', '1 row', '2 rows'])
  })

  it('fill holes and keep unknown ones', () => {
    expect(fill('{a} of {b}', { a: 1 })).toBe('1 of {b}')
  })
})

describe('router', () => {
  it('knows the pages', () => {
    const at = (path: string) => [parsePath(path).page.name, parsePath(path).args]
    expect(at('/')).toEqual(['map', {}])
    expect(at('/vehicles')).toEqual(['vehicles', {}])
    expect(at('/vehicles/LTEST%2F1')).toEqual(['vehicle', { id: 'LTEST/1' }])
    expect(at('/vehicles/%E0%A4%A')).toEqual(['missing', {}])
    expect(at('/nothing')).toEqual(['missing', {}])
  })
  it('marks a page in the navigation for every other one', () => {
    const shown = PAGES.filter((page) => page.section || page.menu).map((page) => page.name)
    for (const page of PAGES) expect(shown, page.name).toContain(page.under ?? page.name)
    expect(new Set(PAGES.map((page) => page.path)).size).toBe(PAGES.length)
  })
})

describe('api', () => {
  it('leaves out empty arguments', () => {
    expect(withQuery('/v1/x', { q: '', a: null, b: 0, c: 'd e' })).toBe('/v1/x?b=0&c=d+e')
  })
  it('reads problem details and finds errors by field', async () => {
    const body = { title: 'Bad', detail: 'no', errors: [{ field: 'labels.fleet', detail: 'long' }] }
    const problem = await readProblem(new Response(JSON.stringify(body), { status: 422 }))
    expect(problem).toBeInstanceOf(ApiProblem)
    expect(problem.field('labels')).toBe('long')
    expect(problem.field('id')).toBeUndefined()
  })
  it('survives an answer that is no JSON', async () => {
    expect((await readProblem(new Response('<html>', { status: 502 }))).status).toBe(502)
  })
})

describe('fleet', () => {
  const row = (
    id: string,
    lon: number,
    lat: number,
    more: Partial<[number, 0 | 1]> = [],
  ): FleetRow => [id, lon, lat, null, more[0] ?? 0, 50, null, more[1] ?? 1, 1000]
  it('replaces on full and updates on change', () => {
    const fleet = new Fleet()
    fleet.apply({ full: true, rows: [row('A', 1, 1), row('B', 2, 2)] })
    fleet.apply({ full: false, rows: [row('B', 2, 2, [30])] })
    expect(fleet.counts()).toMatchObject({ all: 2, moving: 1, stopped: 1 })
    fleet.apply({ full: true, rows: [row('B', 2, 2, [30, 0])] })
    expect([...fleet.vehicles.keys()]).toEqual(['B'])
    expect(motionOf(fleet.vehicles.get('B')!)).toBe('offline')
  })
  it('lets go of vehicles that may not be seen any more', () => {
    const fleet = new Fleet()
    fleet.apply({ full: true, rows: [row('A', 1, 1), row('B', 2, 2)] })
    fleet.apply({ full: false, rows: [row('C', 3, 3)], gone: ['A'] })
    expect([...fleet.vehicles.keys()]).toEqual(['B', 'C'])
  })
  it('derives the course from two places', () => {
    const fleet = new Fleet()
    fleet.apply({ full: true, rows: [row('A', 10, 0)] })
    expect(fleet.vehicles.get('A')?.heading).toBeNull()
    fleet.apply({ full: false, rows: [row('A', 10.01, 0)] })
    expect(fleet.vehicles.get('A')?.heading).toBeCloseTo(90)
    fleet.apply({ full: false, rows: [row('A', 10.01, 0)] })
    expect(fleet.vehicles.get('A')?.heading).toBeCloseTo(90)
  })
})

describe('motion', () => {
  it('turns the short way round', () => {
    expect(turnToward(350, 10, 0.5)).toBeCloseTo(0)
    expect(turnToward(null, 10, 0.5)).toBe(10)
  })
  it('glides from where it is drawn, and jumps when far', () => {
    const glides = new Glides()
    const at = (lon: number) => ({ lon, lat: 0, heading: null })
    glides.send('A', at(0), 0, true)
    glides.send('A', at(0.01), 1000, true)
    expect(glides.at('A', 1500)?.lon).toBeCloseTo(0.005)
    expect(glides.at('A', 9000)?.lon).toBeCloseTo(0.01)
    glides.send('A', at(5), 9000, true)
    expect(glides.at('A', 9001)?.lon).toBe(5)
  })
  it('stays inside its two ends', () => {
    const glide = {
      from: { lon: 0, lat: 0, heading: 0 },
      to: { lon: 1, lat: 1, heading: 0 },
      start: 0,
      duration: 10,
    }
    expect(placeAt(glide, -5).lon).toBe(0)
    expect(placeAt(glide, 50).lon).toBe(1)
  })
})

describe('live', () => {
  it('waits longer each time, up to a bound', () => {
    expect(waitBefore(0, 0.5)).toBe(500)
    expect(waitBefore(1, 0.5)).toBe(1000)
    expect(waitBefore(20, 1)).toBe(12_500)
  })
})

describe('format', () => {
  it('writes sizes and spans', () => {
    expect(bytes(999)).toBe('999 B')
    expect(bytes(84e9)).toBe('84.0 GB')
    expect(duration(93_784)).toBe('1 d 2 h')
    expect(duration(0)).toBe('0 s')
    expect(milliseconds(1530)).toBe('1.5 s')
    expect(milliseconds(null)).toBe('–')
  })
  it('writes any value', () => {
    expect(value(null)).toBe('–')
    expect(value(3.70549)).toBe('3.705')
    expect(value([1, 2])).toBe('1, 2')
    expect(value(Array(96).fill(3.7))).toBe('[ 96 ]')
    expect(clock('nonsense')).toBe('–')
  })
  it('reads hex up to the first bad digit', () => {
    expect([...bytesOf('2323fe')]).toEqual([0x23, 0x23, 0xfe])
    expect([...bytesOf('23zz')]).toEqual([0x23])
  })
})

describe('labels', () => {
  it('go to text and back', () => {
    const labels = { fleet: 'north', note: 'a=b' }
    expect(labelsFromText(labelsToText(labels))).toEqual(labels)
    expect(() => labelsFromText('fleet')).toThrow(BadLabel)
  })
  it('make a merge patch', () => {
    expect(labelsPatch({ a: '1', b: '2', c: '3' }, { a: '1', b: '9', d: '4' })).toEqual({
      b: '9',
      c: null,
      d: '4',
    })
  })
})

describe('tables and plots', () => {
  it('draws only the rows in view', () => {
    expect(rowWindow(0, 270, 10_000, 27, 0)).toEqual({
      first: 0,
      last: 10,
      before: 0,
      after: 269_730,
    })
    const end = rowWindow(270_000 - 270, 270, 10_000, 27, 0)
    expect([end.last, end.after]).toEqual([10_000, 0])
    expect(rowWindow(5000, 270, 3, 27)).toMatchObject({ first: 3, last: 3 })
  })
  it('reads times with and without a zone as UTC', () => {
    expect(unixSeconds('1970-01-01 00:00:10')).toBe(10)
    expect(unixSeconds('1970-01-01 00:00:10+00')).toBe(10)
    expect(unixSeconds('1970-01-01T00:00:10.500Z')).toBe(10.5)
    expect(unixSeconds('soon')).toBeNull()
  })
  it('plots numbers over time, sorted', () => {
    const columns = [
      { name: 'vehicle', type: 'VARCHAR' },
      { name: 't', type: 'TIMESTAMP WITH TIME ZONE' },
      { name: 'v', type: 'DOUBLE' },
    ]
    const choice = plotChoice(columns)
    expect(choice).toEqual({ x: 1, ys: [2] })
    const rows = [
      ['A', '1970-01-01T00:00:02Z', 2],
      ['A', '1970-01-01T00:00:01Z', null],
    ]
    expect(plotData({ columns, rows, truncated: false, seconds: 0 }, choice!)).toEqual([
      [1, 2],
      [null, 2],
    ])
    expect(plotChoice(columns.slice(0, 1))).toBeNull()
  })
  it('zooms about a point and keeps it in place', () => {
    expect(zoomAbout(0, 100, 25, 0.5, 1)).toEqual([12.5, 62.5])
    expect(zoomAbout(0, 100, 50, 0.001, 10)).toEqual([45, 55])
  })
  it('leaves gaps in trails', () => {
    const trail = {
      time_ms: [0, 1000, 900_000, 901_000],
      lon: [1, 2, 3, null],
      lat: [1, 2, 3, 4],
      speed_kmh: [1, 2, 3, 4],
    }
    expect(trailSegments(trail).features).toHaveLength(1)
  })
})

describe('tables', () => {
  const rows = [{ v: 2 }, { v: null }, { v: 10 }, { v: 2, late: true }]
  it('sort numbers as numbers, keep equal ones in place and put missing ones last', () => {
    const by = (row: (typeof rows)[number]) => row.v
    expect(sorted(rows, by, 'ascending').map(by)).toEqual([2, 2, 10, null])
    expect(sorted(rows, by, 'descending').map(by)).toEqual([10, 2, 2, null])
    expect(sorted(rows, by, 'ascending')[1]).toHaveProperty('late')
    expect(sorted(['e-10', 'e-9'], (text) => text, 'ascending')).toEqual(['e-9', 'e-10'])
  })
  it('go through both orders and back to none', () => {
    const first = nextSorting(null, 'a', 'descending')
    expect(first).toEqual({ key: 'a', order: 'descending' })
    const second = nextSorting(first, 'a', 'descending')
    expect(second).toEqual({ key: 'a', order: 'ascending' })
    expect(nextSorting(second, 'a', 'descending')).toBeNull()
    expect(nextSorting(second, 'b', 'ascending')).toEqual({ key: 'b', order: 'ascending' })
  })
})

describe('how long ago', () => {
  const now = Date.UTC(2026, 0, 2)
  it('is said in the unit that people would use', () => {
    expect(ago(now, now)).toBe('now')
    expect(ago(now - 90_000, now)).toMatch(/^1 min/)
    expect(ago(now - 3 * 3_600_000, now)).toMatch(/^3 hr/)
    expect(ago(now + 2 * 86_400_000, now, 'zh-CN')).toBe('后天')
    expect(ago(now - 30 * 86_400_000, now)).toMatch(/^2025-12-0/)
    expect(ago('nonsense', now)).toBe('–')
  })
})
