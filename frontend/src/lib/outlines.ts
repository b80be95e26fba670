// Land outlines for a flat map. The data are stitched for a globe: rings run across the antimeridian
// and, in Antarctica, around the pole. Here each ring becomes continuous, so longitudes may pass 180.
import type { Feature, FeatureCollection, Position } from 'geojson'

const POLE = 90

/** Longitudes without jumps of a whole turn. */
export function unwrap(ring: readonly Position[]): Position[] {
  let turn = 0
  let before: number | undefined
  return ring.map(([lon = 0, lat = 0]) => {
    if (before !== undefined && Math.abs(lon - before) > 180) turn += lon < before ? 360 : -360
    before = lon
    return [lon + turn, lat]
  })
}

/** A ring that has gone once around a pole is closed along that pole. */
export function closeOverPole(line: readonly Position[]): Position[] {
  const [first, last] = [line[0], line.at(-1)]
  if (!first || !last || Math.abs((first[0] ?? 0) - (last[0] ?? 0)) < 180) return [...line]
  const south = line.reduce((sum, [, lat = 0]) => sum + lat, 0) < 0
  const pole = south ? -POLE : POLE
  return [...line, [last[0] ?? 0, pole], [first[0] ?? 0, pole], first]
}

const middle = (ring: readonly Position[]): number =>
  ring.reduce((sum, [lon = 0]) => sum + lon, 0) / (ring.length || 1)

/** A hole on the same turn as the shore around it. */
function beside(hole: Position[], shore: readonly Position[]): Position[] {
  const turns = Math.round((middle(shore) - middle(hole)) / 360)
  return turns === 0 ? hole : hole.map(([lon = 0, lat = 0]) => [lon + turns * 360, lat])
}

function polygons(land: Feature | FeatureCollection): Position[][][] {
  if (land.type === 'FeatureCollection') return land.features.flatMap(polygons)
  const { geometry } = land
  if (geometry.type === 'Polygon') return [geometry.coordinates]
  return geometry.type === 'MultiPolygon' ? geometry.coordinates : []
}

export interface Outlines {
  land: Feature
  /** shores alone: the seam over the pole is no coast */
  coast: Feature
}

export function outlines(land: Feature | FeatureCollection): Outlines {
  const lines = polygons(land).map(([shore = [], ...holes]) => {
    const outer = unwrap(shore)
    return [outer, ...holes.map((hole) => beside(unwrap(hole), outer))]
  })
  return {
    land: {
      type: 'Feature',
      properties: {},
      geometry: {
        type: 'MultiPolygon',
        coordinates: lines.map((rings) => rings.map(closeOverPole)),
      },
    },
    coast: {
      type: 'Feature',
      properties: {},
      geometry: { type: 'MultiLineString', coordinates: lines.flat() },
    },
  }
}
