import type { Feature, Position } from 'geojson'
import { describe, expect, it } from 'vitest'
import { bearing, compassPoint, decimalsAt, distance, distanceKm, wrapLon, written } from './earth'
import { parseView, viewText } from './mapview'
import { closeOverPole, outlines, unwrap } from './outlines'
import { tileAddress } from './tiles'
import { Tracks } from './tracks'

const polygon = (...rings: Position[][]): Feature => ({
  type: 'Feature',
  properties: {},
  geometry: { type: 'Polygon', coordinates: rings },
})

describe('outlines', () => {
  const across: Position[] = [
    [170, 60],
    [180, 65],
    [-170, 66],
    [-175, 60],
    [170, 60],
  ]
  it('has no jump of a whole turn, and still closes', () => {
    const ring = unwrap(across)
    expect(ring.map(([lon]) => lon)).toEqual([170, 180, 190, 185, 170])
    expect(unwrap([...across].reverse()).map(([lon]) => lon)).toEqual([170, 185, 190, 180, 170])
  })
  it('goes around the pole only in the land, not in the coast', () => {
    const shore: Position[] = [-180, -90, 0, 90, 179, -180].map((lon) => [lon, -70])
    const ring = closeOverPole(unwrap(shore))
    expect(ring.at(-1)).toEqual(ring[0])
    expect(ring.filter(([, lat]) => lat === -90)).toHaveLength(2)
    const { land, coast } = outlines(polygon(shore))
    expect(JSON.stringify(land)).toContain('-90]')
    expect(JSON.stringify(coast)).not.toContain('-90]')
  })
  it('keeps a lake on the side of its shore', () => {
    const lake: Position[] = [
      [-172, 61],
      [-171, 62],
      [-172, 63],
      [-172, 61],
    ]
    const { land } = outlines(polygon(across, lake))
    const [, hole] = (land.geometry as { coordinates: Position[][][] }).coordinates[0] ?? []
    expect(hole?.map(([lon]) => lon)).toEqual([188, 189, 188, 188])
  })
  it('leaves other land as it is', () => {
    const island: Position[] = [
      [10, 0],
      [11, 0],
      [11, 1],
      [10, 0],
    ]
    expect(outlines(polygon(island)).coast.geometry).toEqual({
      type: 'MultiLineString',
      coordinates: [island],
    })
  })
})

describe('earth', () => {
  it('knows distances and directions', () => {
    expect(distanceKm(0, 0, 0, 1)).toBeCloseTo(111.195, 2)
    expect(distanceKm(179.5, 0, -179.5, 0)).toBeCloseTo(111.195, 2)
    expect(bearing(0, 0, 1, 0)).toBeCloseTo(90)
    expect(bearing(0, 0, 0, -1)).toBeCloseTo(180)
    expect([0, 44, 46, 359, -90].map(compassPoint)).toEqual(['n', 'ne', 'ne', 'n', 'w'])
  })
  it('writes places and distances', () => {
    expect(wrapLon(190)).toBe(-170)
    expect(written(-170.5, -33.25, 2)).toBe('33.25° S  170.50° W')
    expect(written(190, 0, 0)).toBe('0° N  170° W')
    expect([0.42, 3.21, 1234.4].map(distance)).toEqual(['400 m', '3.2 km', '1,234 km'])
    expect(decimalsAt(1)).toBe(1)
    expect(decimalsAt(14)).toBe(5)
  })
})

describe('map view in the address', () => {
  it('is read and written', () => {
    expect(parseView('31.8,117.2,11')).toEqual({ lat: 31.8, lon: 117.2, zoom: 11 })
    expect(parseView(viewText({ lat: -33.9, lon: 18.4, zoom: 9.5 }))).toEqual({
      lat: -33.9,
      lon: 18.4,
      zoom: 9.5,
    })
    for (const bad of ['', '1,2', 'a,b,c', '91,0,3', '0,0,99', ',,']) expect(parseView(bad)).toBeNull()
  })
})

describe('tracks', () => {
  const at = (lon: number, time: number) => ({ id: 'a', lon, lat: 0, time })
  const lines = (tracks: Tracks) =>
    tracks.lines(['a']).features.flatMap((one) => (one.geometry as { coordinates: unknown[][] }).coordinates)

  it('leave out what cannot be told apart, and cut at jumps', () => {
    const tracks = new Tracks()
    for (const [lon, time] of [[0, 0], [0.00001, 1], [0.01, 2], [1, 3], [1.01, 4]] as const)
      tracks.add(at(lon, time))
    expect(lines(tracks)).toEqual([[[0, 0], [0.01, 0]], [[1, 0], [1.01, 0]]])
  })
  it('forget what is old', () => {
    const tracks = new Tracks()
    for (const [lon, time] of [[0, 0], [0.01, 1000], [0.02, 3_600_000], [0.03, 3_601_000]] as const)
      tracks.add(at(lon, time))
    expect(lines(tracks)).toEqual([[[0.02, 0], [0.03, 0]]])
  })
  it('start with what the server knows', () => {
    const tracks = new Tracks()
    tracks.add(at(0.02, 2000))
    tracks.add(at(0.03, 3000))
    tracks.prepend('a', { time_ms: [0, 1000, 2500], lon: [0, 0.01, 0.025], lat: [0, 0, 0], speed_kmh: [] })
    expect(lines(tracks)).toEqual([[[0, 0], [0.01, 0], [0.02, 0], [0.03, 0]]])
  })
})

describe('tiles', () => {
  const at = (lon: number, lat: number, zoom: number) =>
    tileAddress('{z}/{x}/{y}.png', { lon, lat, zoom })
  it('are named by Web Mercator', () => {
    expect(at(13.3777, 52.5163, 10.6)).toBe('10/550/335.png') // Brandenburg Gate
    expect(at(13.3777, 52.5163, 0.3)).toBe('0/0/0.png')
  })
  it('end at the edge of the map', () => {
    expect(at(180, 89.9, 2)).toBe('2/3/0.png')
    expect(at(-180, -89.9, 2)).toBe('2/0/3.png')
  })
})
