// Where a tile of a base map is to be had.

export interface Place {
  lon: number
  lat: number
  zoom: number
}

/** The address of the tile that holds a place, in Web Mercator. */
export function tileAddress(template: string, { lon, lat, zoom }: Place): string {
  const z = Math.max(0, Math.floor(zoom))
  const turn = (Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI) * 0.5
  const at = (share: number): string =>
    String(Math.min(2 ** z - 1, Math.max(0, Math.floor(share * 2 ** z))))
  return template
    .replace('{z}', String(z))
    .replace('{x}', at((lon + 180) / 360))
    .replace('{y}', at(0.5 - turn))
}
