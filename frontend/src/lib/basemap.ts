// The map under the data: offline land outlines, a graticule and city names; or the tiles that the
// operator has set. The offline map draws coastlines only and no borders between countries.
import type { FeatureCollection, Feature } from 'geojson'
import type { LayerSpecification, SourceSpecification, StyleSpecification } from 'maplibre-gl'
import * as maplibregl from 'maplibre-gl'
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url'
import { PMTiles, Protocol, TileType } from 'pmtiles'
import { feature } from 'topojson-client'
import type { GeometryCollection, Topology } from 'topojson-specification'
import landUrl from 'world-atlas/land-50m.json?url'
import type { Language } from '../i18n/index.svelte'
import { CITIES } from './cities'
import { outlines, type Outlines } from './outlines'
import type { Theme } from './theme.svelte'
import { tileAddress, type Place } from './tiles'

maplibregl.setWorkerUrl(workerUrl)
const pmtiles = new Protocol({ metadata: true }) // it holds whom to credit
maplibregl.addProtocol('pmtiles', pmtiles.tile)

const TILES = 'base' // the source that holds the operator's tiles

export const FONT = [
  'Inter, system-ui, "Segoe UI", "Noto Sans", "PingFang SC", "Noto Sans CJK SC", sans-serif',
]

export interface MapColours {
  sea: string
  land: string
  coast: string
  grid: string
  label: string
  halo: string
  /** where vehicles have been */
  track: string
  road: string
  building: string
  moving: string
  stopped: string
  offline: string
  levels: [string, string, string, string]
  accent: string
  surface: string
  text: string
}

export const COLOURS: Record<Theme, MapColours> = {
  light: {
    sea: '#dde5ec',
    land: '#f6f6f3',
    coast: '#b9c4cf',
    grid: '#8ea0b3',
    label: '#5c6672',
    halo: '#f6f6f3',
    track: '#0d6e8f',
    road: '#d9d9d3',
    building: '#e9e8e3',
    moving: '#0b7f6b',
    stopped: '#64748b',
    offline: '#a3abb7',
    levels: ['#d19d00', '#e06a00', '#cc2936', '#a3148c'],
    accent: '#0d6e8f',
    surface: '#ffffff',
    text: '#171b21',
  },
  dark: {
    sea: '#0b1017',
    land: '#171d25',
    coast: '#344152',
    grid: '#5c6f86',
    label: '#8c98a7',
    halo: '#11161d',
    track: '#4db8d8',
    road: '#2b3440',
    building: '#1e252f',
    moving: '#2fc6a8',
    stopped: '#8fa0b5',
    offline: '#566172',
    levels: ['#e5b732', '#ff9147', '#ff6b72', '#f07be0'],
    accent: '#4db8d8',
    surface: '#1b212a',
    text: '#e8ecf1',
  },
}

let shapes: Promise<Outlines> | undefined

function landShapes(): Promise<Outlines> {
  shapes ??= fetch(landUrl)
    .then((response) => response.json() as Promise<Topology<{ land: GeometryCollection }>>)
    .then((topology) => outlines(feature(topology, topology.objects.land)))
  return shapes
}

/** Meridians and parallels `step` degrees apart inside a box. */
export function graticule(
  west: number,
  south: number,
  east: number,
  north: number,
  step: number,
): FeatureCollection {
  const features: Feature[] = []
  const line = (coordinates: [number, number][]): void => {
    features.push({
      type: 'Feature',
      properties: {},
      geometry: { type: 'LineString', coordinates },
    })
  }
  const top = Math.min(85, north)
  const bottom = Math.max(-85, south)
  for (let i = Math.ceil(west / step); i * step <= east; i++)
    line([
      [i * step, bottom],
      [i * step, top],
    ])
  for (let i = Math.ceil(bottom / step); i * step <= top; i++)
    line([
      [west, i * step],
      [east, i * step],
    ])
  return { type: 'FeatureCollection', features }
}

/** The distance between graticule lines that leaves about eight across the view. */
export function graticuleStep(widthDegrees: number): number {
  const steps = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
  return steps.find((step) => widthDegrees / step >= 5) ?? 0.001
}

function cityShapes(language: Language): FeatureCollection {
  return {
    type: 'FeatureCollection',
    features: CITIES.map(([en, zh, lon, lat, zoom]) => ({
      type: 'Feature',
      properties: { name: language === 'zh' ? zh : en, zoom },
      geometry: { type: 'Point', coordinates: [lon, lat] },
    })),
  }
}

const EMPTY: FeatureCollection = { type: 'FeatureCollection', features: [] }

async function outlineStyle(colours: MapColours, language: Language): Promise<StyleSpecification> {
  const { land, coast } = await landShapes()
  return {
    version: 8,
    sources: {
      land: { type: 'geojson', data: land, attribution: 'Natural Earth' },
      coast: { type: 'geojson', data: coast },
      grid: { type: 'geojson', data: EMPTY },
      cities: { type: 'geojson', data: cityShapes(language) },
    },
    layers: [
      { id: 'sea', type: 'background', paint: { 'background-color': colours.sea } },
      { id: 'land', type: 'fill', source: 'land', paint: { 'fill-color': colours.land } },
      {
        id: 'coast',
        type: 'line',
        source: 'coast',
        paint: {
          'line-color': colours.coast,
          'line-width': ['interpolate', ['linear'], ['zoom'], 2, 0.5, 8, 1.2],
        },
      },
      {
        id: 'grid',
        type: 'line',
        source: 'grid',
        paint: { 'line-color': colours.grid, 'line-opacity': 0.22, 'line-width': 0.6 },
      },
      {
        id: 'city-dots',
        type: 'circle',
        source: 'cities',
        filter: ['<=', ['get', 'zoom'], ['zoom']],
        paint: {
          'circle-radius': 2,
          'circle-color': colours.halo,
          'circle-stroke-color': colours.label,
          'circle-stroke-width': 1,
          'circle-opacity': 0.9,
          'circle-stroke-opacity': 0.8,
        },
      },
      {
        id: 'cities',
        type: 'symbol',
        source: 'cities',
        filter: ['<=', ['get', 'zoom'], ['zoom']],
        layout: {
          'text-field': ['get', 'name'],
          'text-font': FONT,
          'text-size': ['interpolate', ['linear'], ['zoom'], 2, 10.5, 8, 13],
          'text-anchor': 'top',
          'text-offset': [
            'interpolate',
            ['linear'],
            ['zoom'],
            8,
            ['literal', [0, 1]],
            10,
            ['literal', [0, 0.45]],
          ],
          'text-padding': 6,
          'symbol-sort-key': ['get', 'zoom'],
        },
        paint: {
          'text-color': colours.label,
          'text-halo-color': colours.halo,
          'text-halo-width': 1.4,
        },
      },
    ],
  }
}

/** Layers for vector tiles of the two common schemas (OpenMapTiles and Protomaps). */
function vectorLayers(colours: MapColours, language: Language): LayerSpecification[] {
  const base = { source: TILES } as const
  const name: unknown = ['coalesce', ['get', `name:${language}`], ['get', 'name']]
  const fill = (layer: string, colour: string): LayerSpecification => ({
    ...base,
    id: `base-${layer}`,
    type: 'fill',
    'source-layer': layer,
    paint: { 'fill-color': colour },
  })
  const line = (layer: string, colour: string): LayerSpecification => ({
    ...base,
    id: `base-${layer}`,
    type: 'line',
    'source-layer': layer,
    paint: {
      'line-color': colour,
      'line-width': ['interpolate', ['exponential', 1.5], ['zoom'], 6, 0.4, 16, 6],
    },
  })
  const label = (layer: string): LayerSpecification => ({
    ...base,
    id: `base-${layer}`,
    type: 'symbol',
    'source-layer': layer,
    layout: { 'text-field': name as string, 'text-font': FONT, 'text-size': 12 },
    paint: {
      'text-color': colours.label,
      'text-halo-color': colours.halo,
      'text-halo-width': 1.4,
    },
  })
  return [
    { id: 'sea', type: 'background', paint: { 'background-color': colours.land } },
    fill('landcover', colours.land),
    fill('earth', colours.land),
    fill('water', colours.sea),
    fill('building', colours.building),
    fill('buildings', colours.building),
    line('transportation', colours.road),
    line('roads', colours.road),
    label('place'),
    label('places'),
  ]
}

async function isVector(tiles: string): Promise<boolean> {
  if (!tiles.startsWith('pmtiles://')) return /\.(pbf|mvt)(\?|$)/.test(tiles)
  const archive = new PMTiles(tiles.slice('pmtiles://'.length))
  pmtiles.add(archive)
  return (await archive.getHeader()).tileType === TileType.Mvt
}

/** `{s}` stands for the hosts a, b and c, as tile servers of old have it. */
const mirrors = (address: string): string[] =>
  address.includes('{s}') ? [...'abc'].map((host) => address.replace('{s}', host)) : [address]

/** Asks for one tile, of this place or else of the whole world; throws if there is neither. */
async function probe(template: string, place: Place): Promise<void> {
  let answer = await fetch(tileAddress(template, place))
  if (!answer.ok) answer = await fetch(tileAddress(template, { ...place, zoom: 0 }))
  if (!answer.ok) throw new Error(`${answer.url}: HTTP ${answer.status}`)
}

async function tileStyle(
  tiles: string,
  credit: string,
  colours: MapColours,
  language: Language,
  at: Place,
): Promise<StyleSpecification> {
  const address = /^pmtiles:|\{z\}/.test(tiles) ? tiles : `pmtiles://${tiles}`
  const vector = await isVector(address)
  const place = address.startsWith('pmtiles:') ? { url: address } : { tiles: mirrors(address) }
  if (place.tiles) await probe(place.tiles[0] ?? '', at)
  const made = { ...place, ...(credit ? { attribution: credit } : {}) }
  const source: SourceSpecification = vector
    ? { type: 'vector', ...made }
    : { type: 'raster', tileSize: 256, ...made }
  const raster: LayerSpecification[] = [
    { id: 'sea', type: 'background', paint: { 'background-color': colours.sea } },
    { id: 'base', type: 'raster', source: TILES },
  ]
  return {
    version: 8,
    sources: { [TILES]: source },
    layers: vector ? vectorLayers(colours, language) : raster,
  }
}

/** The style of the base map: outlines, or the operator's tiles; throws if those cannot be read. */
export async function baseStyle(
  theme: Theme,
  language: Language,
  tiles: string,
  credit: string,
  at: Place,
): Promise<StyleSpecification> {
  if (!tiles) return outlineStyle(COLOURS[theme], language)
  return tileStyle(tiles, credit, COLOURS[theme], language, at)
}

/** Redraw the graticule for what the map now shows. */
export function refreshGraticule(map: maplibregl.Map): void {
  const source = map.getSource<maplibregl.GeoJSONSource>('grid')
  if (!source) return
  const box = map.getBounds()
  const width = box.getEast() - box.getWest()
  const height = box.getNorth() - box.getSouth()
  const step = graticuleStep(width)
  source.setData(
    graticule(
      box.getWest() - width,
      box.getSouth() - height,
      box.getEast() + width,
      box.getNorth() + height,
      step,
    ),
  )
}
