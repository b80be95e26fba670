// The live picture of all vehicles: last known place and state of each, fed by `vehicles` events.
import type { FleetEvent, FleetRow } from './types'

export type Motion = 'moving' | 'stopped' | 'offline'

export interface FleetVehicle {
  id: string
  /** WGS-84 degrees, null until the first fix */
  lon: number | null
  lat: number | null
  /** degrees clockwise from north */
  heading: number | null
  speed: number | null
  soc: number | null
  alarm: number
  online: boolean
  /** Unix ms of the report */
  time: number
}

export interface FleetCounts {
  all: number
  moving: number
  stopped: number
  offline: number
  alarm: number
}

export function motionOf(vehicle: FleetVehicle): Motion {
  if (!vehicle.online) return 'offline'
  return (vehicle.speed ?? 0) > 1 ? 'moving' : 'stopped'
}

function fromRow(row: FleetRow, before: FleetVehicle | undefined): FleetVehicle {
  const [id, lon, lat, heading, speed, soc, alarm, online, time] = row
  return {
    id,
    lon,
    lat,
    heading: heading ?? courseBetween(before, lon, lat),
    speed,
    soc,
    alarm: alarm ?? 0,
    online: online === 1,
    time,
  }
}

/** Course from the last place to this one; reports of GB/T 32960 carry no heading. */
function courseBetween(
  before: FleetVehicle | undefined,
  lon: number | null,
  lat: number | null,
): number | null {
  if (!before || before.lon === null || before.lat === null || lon === null || lat === null)
    return before?.heading ?? null
  const east = (lon - before.lon) * Math.cos((lat * Math.PI) / 180)
  const north = lat - before.lat
  if (Math.hypot(east, north) < 1e-5) return before.heading
  return (Math.atan2(east, north) * 180) / Math.PI
}

export class Fleet {
  readonly vehicles = new Map<string, FleetVehicle>()

  /** Take an event in; gives the vehicles that it told of. */
  apply(event: FleetEvent): FleetVehicle[] {
    const kept = event.full ? new Map(this.vehicles) : this.vehicles
    const told = event.rows.map((row) => fromRow(row, kept.get(row[0])))
    if (event.full) this.vehicles.clear()
    for (const vehicle of told) this.vehicles.set(vehicle.id, vehicle)
    for (const id of event.gone ?? []) this.vehicles.delete(id)
    return told
  }

  counts(): FleetCounts {
    const counts = { all: 0, moving: 0, stopped: 0, offline: 0, alarm: 0 }
    for (const vehicle of this.vehicles.values()) {
      counts.all++
      counts[motionOf(vehicle)]++
      if (vehicle.alarm > 0) counts.alarm++
    }
    return counts
  }

  /** Vehicles with an alarm, worst and latest first. */
  alarmed(): FleetVehicle[] {
    return [...this.vehicles.values()]
      .filter((vehicle) => vehicle.alarm > 0)
      .sort((a, b) => b.alarm - a.alarm || (a.id < b.id ? -1 : 1))
  }
}
