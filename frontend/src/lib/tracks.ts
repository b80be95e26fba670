// Where vehicles have been since this tab was opened: enough to let the roads emerge on a bare map.
import type { FeatureCollection, Position } from 'geojson'
import { distanceKm } from './earth'
import type { FleetVehicle } from './fleet'
import type { Trail } from './types'

export const KEEP_MS = 15 * 60_000
const LEAST_KM = 0.02 // closer places add nothing that can be seen
const LONGEST_KM = 3 // farther is a jump: a lost connection, not a drive
const MOST_POINTS = 400_000 // of all vehicles together, about 10 MB

interface Point {
  lon: number
  lat: number
  /** Unix ms */
  time: number
  /** starts a new line */
  jump: boolean
}

export class Tracks {
  readonly #tracks = new Map<string, Point[]>()
  #points = 0

  clear(): void {
    this.#tracks.clear()
    this.#points = 0
  }

  remove(id: string): void {
    this.#points -= this.#tracks.get(id)?.length ?? 0
    this.#tracks.delete(id)
  }

  add({ id, lon, lat, time }: Pick<FleetVehicle, 'id' | 'lon' | 'lat' | 'time'>): void {
    if (lon === null || lat === null) return
    const track = this.#tracks.get(id) ?? []
    const last = track.at(-1)
    const km = last ? distanceKm(last.lon, last.lat, lon, lat) : 0
    if (last && (km < LEAST_KM || time <= last.time)) return
    track.push({ lon, lat, time, jump: km > LONGEST_KM })
    this.#points++
    while (track[0] && (track[0].time < time - KEEP_MS || this.#points > MOST_POINTS)) {
      if (track.length === 1) break
      track.shift()
      this.#points--
    }
    this.#tracks.set(id, track)
  }

  /** Put what the server knows of the time before in front of what was seen here. */
  prepend(id: string, trail: Trail): void {
    const seen = this.#tracks.get(id) ?? []
    const first = seen[0]?.time ?? Infinity
    this.#points -= seen.length
    this.#tracks.delete(id)
    trail.time_ms.forEach((time, i) => {
      if (time < first)
        this.add({ id, lon: trail.lon[i] ?? null, lat: trail.lat[i] ?? null, time })
    })
    for (const point of seen) this.add({ id, ...point })
  }

  /** One line per vehicle, cut where it jumped; the newest point is left to the moving symbol. */
  lines(ids: Iterable<string>): FeatureCollection {
    const features: FeatureCollection['features'] = []
    for (const id of ids) {
      const coordinates = cut(this.#tracks.get(id) ?? [])
      if (coordinates.length > 0)
        features.push({
          type: 'Feature',
          properties: {},
          geometry: { type: 'MultiLineString', coordinates },
        })
    }
    return { type: 'FeatureCollection', features }
  }
}

function cut(track: readonly Point[]): Position[][] {
  const lines: Position[][] = []
  for (const { lon, lat, jump } of track) {
    if (jump || lines.length === 0) lines.push([])
    lines.at(-1)?.push([lon, lat])
  }
  return lines.filter((line) => line.length > 1)
}
