// Between two reports a vehicle glides on a straight line from where it is drawn to where it is.

export interface Place {
  lon: number
  lat: number
  heading: number | null
}

interface Glide {
  from: Place
  to: Place
  start: number
  duration: number
}

const SHORTEST_MS = 150
const LONGEST_MS = 1500
const LONGEST_JUMP_DEG = 0.05 // farther than a car goes in a second: a correction, not a drive

export function turnToward(from: number | null, to: number | null, share: number): number | null {
  if (from === null || to === null) return to
  const turn = ((((to - from) % 360) + 540) % 360) - 180
  return (from + turn * share + 360) % 360
}

export function placeAt(glide: Glide, now: number): Place {
  const share = Math.min(1, Math.max(0, (now - glide.start) / glide.duration))
  return {
    lon: glide.from.lon + (glide.to.lon - glide.from.lon) * share,
    lat: glide.from.lat + (glide.to.lat - glide.from.lat) * share,
    heading: turnToward(glide.from.heading, glide.to.heading, Math.min(1, share * 2)),
  }
}

export class Glides {
  readonly #glides = new Map<string, Glide>()

  clear(): void {
    this.#glides.clear()
  }

  /** Send a vehicle to its new place; `smooth` false puts it there at once. */
  send(id: string, to: Place, now: number, smooth: boolean): void {
    const glide = this.#glides.get(id)
    if (glide && glide.to.lon === to.lon && glide.to.lat === to.lat) {
      glide.to = to
      return
    }
    const far =
      !glide ||
      Math.abs(glide.to.lon - to.lon) > LONGEST_JUMP_DEG ||
      Math.abs(glide.to.lat - to.lat) > LONGEST_JUMP_DEG
    const duration = glide ? Math.min(LONGEST_MS, Math.max(SHORTEST_MS, now - glide.start)) : 1
    if (far || !smooth) this.#glides.set(id, { from: to, to, start: now, duration: 1 })
    else this.#glides.set(id, { from: placeAt(glide, now), to, start: now, duration })
  }

  at(id: string, now: number): Place | undefined {
    const glide = this.#glides.get(id)
    return glide && placeAt(glide, now)
  }
}
