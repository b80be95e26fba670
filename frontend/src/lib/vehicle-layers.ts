// How vehicles look on the map: arrows and dots coloured by state, alarm rings, clusters.
import type { FeatureCollection } from 'geojson'
import type {
  ExpressionSpecification,
  GeoJSONSourceSpecification,
  LayerSpecification,
} from 'maplibre-gl'
import { FONT, type MapColours } from './basemap'
import { motionOf, type FleetVehicle } from './fleet'
import type { Place } from './motion'

export function vehicleSource(): GeoJSONSourceSpecification {
  return {
    type: 'geojson',
    data: { type: 'FeatureCollection', features: [] },
    cluster: true,
    clusterMaxZoom: 9,
    clusterRadius: 44,
    clusterProperties: {
      alarm: ['max', ['get', 'alarm']],
      alarms: ['+', ['case', ['>', ['get', 'alarm'], 0], 1, 0]],
      online: ['+', ['case', ['==', ['get', 'state'], 'offline'], 0, 1]],
    },
  }
}

export function featuresOf(
  vehicles: Iterable<FleetVehicle>,
  place: (vehicle: FleetVehicle) => Place | undefined,
): FeatureCollection {
  const features: FeatureCollection['features'] = []
  for (const vehicle of vehicles) {
    const at = place(vehicle)
    if (!at) continue
    features.push({
      type: 'Feature',
      geometry: { type: 'Point', coordinates: [at.lon, at.lat] },
      properties: {
        id: vehicle.id,
        state: motionOf(vehicle),
        alarm: vehicle.alarm,
        heading: at.heading ?? 0,
        icon: at.heading !== null && motionOf(vehicle) === 'moving' ? 'arrow' : 'dot',
      },
    })
  }
  return { type: 'FeatureCollection', features }
}

const levelColour = (colours: MapColours, none: string): ExpressionSpecification => [
  'step',
  ['coalesce', ['get', 'alarm'], 0],
  none,
  1,
  colours.levels[0],
  2,
  colours.levels[1],
  3,
  colours.levels[2],
  4,
  colours.levels[3],
]

/** Faint lines that add up where many vehicles drive. */
export function trackLayer(colours: MapColours): LayerSpecification {
  return {
    id: 'tracks',
    type: 'line',
    source: 'tracks',
    minzoom: 6,
    layout: { 'line-cap': 'round', 'line-join': 'round' },
    paint: {
      'line-color': colours.track,
      'line-opacity': ['interpolate', ['linear'], ['zoom'], 6, 0.25, 12, 0.45],
      'line-width': ['interpolate', ['linear'], ['zoom'], 6, 0.8, 12, 2, 16, 4],
    },
  }
}

const IS_CLUSTER: ExpressionSpecification = ['has', 'point_count']
const IS_VEHICLE: ExpressionSpecification = ['!', ['has', 'point_count']]

export function vehicleLayers(colours: MapColours): LayerSpecification[] {
  const source = 'vehicles'
  return [
    {
      id: 'clusters',
      type: 'circle',
      source,
      filter: IS_CLUSTER,
      paint: {
        'circle-radius': [
          'interpolate',
          ['linear'],
          ['sqrt', ['get', 'point_count']],
          1,
          10,
          18,
          23,
        ],
        'circle-color': colours.surface,
        'circle-opacity': 0.94,
        'circle-stroke-width': 2.5,
        'circle-stroke-color': [
          'case',
          ['>', ['get', 'online'], 0],
          colours.moving,
          colours.offline,
        ],
      },
    },
    {
      id: 'cluster-counts',
      type: 'symbol',
      source,
      filter: IS_CLUSTER,
      layout: {
        'text-field': ['get', 'point_count_abbreviated'],
        'text-font': FONT,
        'text-size': 12,
        'text-allow-overlap': true,
        'text-ignore-placement': true,
      },
      paint: { 'text-color': colours.text },
    },
    {
      id: 'cluster-alarms',
      type: 'circle',
      source,
      filter: ['all', IS_CLUSTER, ['>', ['get', 'alarms'], 0]],
      paint: {
        'circle-radius': 8,
        'circle-translate': [14, -13],
        'circle-color': levelColour(colours, colours.offline),
        'circle-stroke-width': 1.5,
        'circle-stroke-color': colours.surface,
      },
    },
    {
      id: 'cluster-alarm-counts',
      type: 'symbol',
      source,
      filter: ['all', IS_CLUSTER, ['>', ['get', 'alarms'], 0]],
      layout: {
        'text-field': ['to-string', ['get', 'alarms']],
        'text-font': FONT,
        'text-size': 10,
        'text-allow-overlap': true,
        'text-ignore-placement': true,
      },
      paint: { 'text-color': colours.surface, 'text-translate': [14, -13] },
    },
    {
      id: 'alarm-rings',
      type: 'circle',
      source,
      filter: ['all', IS_VEHICLE, ['>', ['get', 'alarm'], 0]],
      paint: {
        'circle-radius': 13,
        'circle-color': levelColour(colours, colours.offline),
        'circle-opacity': 0.2,
        'circle-stroke-width': 1.2,
        'circle-stroke-opacity': 0.75,
        'circle-stroke-color': levelColour(colours, colours.offline),
      },
    },
    {
      id: 'vehicles',
      type: 'symbol',
      source,
      filter: IS_VEHICLE,
      layout: {
        'icon-image': ['get', 'icon'],
        'icon-rotate': ['get', 'heading'],
        'icon-rotation-alignment': 'map',
        'icon-allow-overlap': true,
        'icon-ignore-placement': true,
        'icon-size': ['interpolate', ['linear'], ['zoom'], 3, 0.7, 12, 1],
        'symbol-sort-key': ['get', 'alarm'],
      },
      paint: {
        'icon-color': [
          'case',
          ['==', ['get', 'state'], 'offline'],
          colours.offline,
          ['>', ['get', 'alarm'], 0],
          levelColour(colours, colours.moving),
          ['==', ['get', 'state'], 'moving'],
          colours.moving,
          colours.stopped,
        ],
        'icon-halo-color': colours.surface,
        'icon-halo-width': 1.2,
      },
    },
    {
      id: 'chosen',
      type: 'circle',
      source: 'chosen',
      paint: {
        'circle-radius': 16,
        'circle-color': 'rgba(0,0,0,0)',
        'circle-stroke-width': 2.5,
        'circle-stroke-color': colours.accent,
      },
    },
    {
      id: 'chosen-label',
      type: 'symbol',
      source: 'chosen',
      layout: {
        'text-field': ['get', 'id'],
        'text-font': FONT,
        'text-size': 12,
        'text-anchor': 'top',
        'text-offset': [0, 1.6],
        'text-allow-overlap': true,
      },
      paint: {
        'text-color': colours.text,
        'text-halo-color': colours.halo,
        'text-halo-width': 2,
      },
    },
  ]
}

/** Signed-distance images, so that one drawing takes every colour. Sides in px at 2x. */
export function icon(name: 'arrow' | 'dot'): {
  width: number
  height: number
  data: Uint8ClampedArray
} {
  const size = 48
  const data = new Uint8ClampedArray(size * size * 4)
  const distance = name === 'arrow' ? arrowDistance : dotDistance
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      // MapLibre puts the edge at 0.75 of full alpha, and 8 px of distance span the range
      const inside = distance(x + 0.5 - size / 2, y + 0.5 - size / 2)
      const alpha = Math.max(0, Math.min(1, 0.75 + inside / 16))
      data.set([255, 255, 255, alpha * 255], (y * size + x) * 4)
    }
  return { width: size, height: size, data }
}

/** Distance in px to the edge, positive inside. */
const dotDistance = (x: number, y: number): number => 8 - Math.hypot(x, y)

const ARROW: [number, number][] = [
  [0, -16],
  [11, 13],
  [0, 7.5],
  [-11, 13],
]

function arrowDistance(x: number, y: number): number {
  let nearest = Infinity
  let inside = false
  for (let i = 0, j = ARROW.length - 1; i < ARROW.length; j = i++) {
    const [ax, ay] = ARROW[i] as [number, number]
    const [bx, by] = ARROW[j] as [number, number]
    const share = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
    const s = Math.max(0, Math.min(1, share))
    nearest = Math.min(nearest, Math.hypot(x - ax - s * (bx - ax), y - ay - s * (by - ay)))
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
  }
  return inside ? nearest : -nearest
}
