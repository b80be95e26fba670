// Distances and directions on a sphere, and how people write a place.

const RADIUS_KM = 6371.0088
const radians = (degrees: number): number => (degrees * Math.PI) / 180

/** Great-circle distance between two places, degrees to km. */
export function distanceKm(lon1: number, lat1: number, lon2: number, lat2: number): number {
  const across = Math.sin(radians(lat2 - lat1) / 2) ** 2
  const along = Math.sin(radians(lon2 - lon1) / 2) ** 2
  const h = across + Math.cos(radians(lat1)) * Math.cos(radians(lat2)) * along
  return 2 * RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)))
}

/** The direction in which the second place lies from the first, degrees clockwise from north. */
export function bearing(lon1: number, lat1: number, lon2: number, lat2: number): number {
  const turn = radians(lon2 - lon1)
  const [a, b] = [radians(lat1), radians(lat2)]
  const east = Math.sin(turn) * Math.cos(b)
  const north = Math.cos(a) * Math.sin(b) - Math.sin(a) * Math.cos(b) * Math.cos(turn)
  return ((Math.atan2(east, north) * 180) / Math.PI + 360) % 360
}

export const POINTS = ['n', 'ne', 'e', 'se', 's', 'sw', 'w', 'nw'] as const
export type CompassPoint = (typeof POINTS)[number]

export const compassPoint = (degrees: number): CompassPoint =>
  POINTS[Math.round((((degrees % 360) + 360) % 360) / 45) % 8] ?? 'n'

/** Longitude between -180 and 180. */
export const wrapLon = (lon: number): number => ((((lon + 180) % 360) + 360) % 360) - 180

/** Enough decimals that one screen pixel can be told from the next. */
export function decimalsAt(zoom: number): number {
  const degrees = 360 / (512 * 2 ** zoom)
  return Math.max(1, Math.min(6, Math.ceil(-Math.log10(degrees))))
}

export function written(lon: number, lat: number, decimals: number): string {
  const part = (value: number, positive: string, negative: string): string =>
    `${Math.abs(value).toFixed(decimals)}° ${value < 0 ? negative : positive}`
  return `${part(lat, 'N', 'S')}  ${part(wrapLon(lon), 'E', 'W')}`
}

/** 0.4 -> `400 m`, 3.21 -> `3.2 km`, 41.2 -> `41 km`. */
export function distance(km: number): string {
  if (km < 1) return `${Math.round(km * 20) * 50} m`
  return `${km < 10 ? km.toFixed(1) : Math.round(km).toLocaleString('en')} km`
}
