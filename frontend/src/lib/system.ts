// The installation as its operator sees it.
import { json } from './http'
import type { Problem, Role } from './types'

export interface Engine {
  name: 'stream' | 'lake' | 'records' | 'blobs' | 'compute'
  kind: string
  version: string
  place: string
  /** `ok`, or what is wrong */
  state: string
  answer_ms: number | null
}

export interface SystemState {
  time: string
  version: string
  connected: number
  platforms: number
  frames_per_second: number
  stored_per_second: number
  freshness_ms: number | null
  lag_frames: number
  disk: { used_bytes: number; free_bytes: number }
  problems: Problem[]
  roles: (Role & { version: string })[]
  engines: Engine[]
}

export const readSystem = (): Promise<SystemState> => json<SystemState>('/v1/system')
