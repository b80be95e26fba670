// The part of the world that a map shows, as it stands in the address: `lat,lon,zoom`.

export interface MapView {
  lon: number
  lat: number
  zoom: number
}

export function parseView(text: string): MapView | null {
  const parts = text.split(',')
  const [lat = NaN, lon = NaN, zoom = NaN] = parts.map(Number)
  if (parts.length !== 3 || ![lat, lon, zoom].every(Number.isFinite)) return null
  if (parts.some((part) => part.trim() === '') || Math.abs(lat) > 90 || zoom < 0 || zoom > 24)
    return null
  return { lon, lat, zoom }
}

export const viewText = ({ lon, lat, zoom }: MapView): string =>
  `${lat.toFixed(5)},${lon.toFixed(5)},${zoom.toFixed(2)}`
