import type { FeatureCollection } from 'geojson'
import type { Trail } from './types'

const LONGEST_GAP_MS = 300_000

/** One short line per pair of points, coloured by speed; none across long gaps or missing fixes. */
export function trailSegments(trail: Trail): FeatureCollection {
  const features: FeatureCollection['features'] = []
  const { time_ms: time, lon, lat, speed_kmh: speed } = trail
  for (let i = 1; i < lon.length; i++) {
    const [a, b, c, d] = [lon[i - 1], lat[i - 1], lon[i], lat[i]]
    if (a == null || b == null || c == null || d == null) continue
    if ((time[i] ?? 0) - (time[i - 1] ?? 0) > LONGEST_GAP_MS) continue
    features.push({
      type: 'Feature',
      properties: { speed: speed[i] ?? 0 },
      geometry: {
        type: 'LineString',
        coordinates: [
          [a, b],
          [c, d],
        ],
      },
    })
  }
  return { type: 'FeatureCollection', features }
}
