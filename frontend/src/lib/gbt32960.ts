// Where each field of a GB/T 32960.3 frame lies, for the hex view. The tables read top to bottom
// like those of the standard; values are physical. The server's decoder stays the authority: this
// file only locates bytes, and stops at the first thing it does not know.
import { hexByte } from './hex'

export interface Segment {
  /** byte offset in the frame */
  offset: number
  size: number
  /** key of the field table, e.g. "speed_kmh" */
  name: string
  /** enclosing body, e.g. "vehicle" */
  group: string
  /** physical value, text or sentinel; null for opaque bytes */
  value: string | null
  unit: string
}

type Kind = 'u8' | 'u16' | 'u32' | 'time6' | 'text' | 'bytes' | 'hex32'
interface Field {
  name: string
  kind: Kind
  scale?: number
  shift?: number
  unit?: string
  /** name of the field that holds the count, or a fixed count */
  times?: string | number
  record?: readonly Field[]
}

const SIZE: Record<Kind, number> = { u8: 1, u16: 2, u32: 4, time6: 6, text: 1, bytes: 1, hex32: 4 }

// name, kind, and optionally: scale, shift, unit
const f = (name: string, kind: Kind, scale?: number, shift?: number, unit?: string): Field => ({
  name,
  kind,
  ...(scale === undefined ? {} : { scale }),
  ...(shift === undefined ? {} : { shift }),
  ...(unit === undefined ? {} : { unit }),
})
const many = (field: Field, times: string | number): Field => ({ ...field, times })
const records = (name: string, times: string, record: readonly Field[]): Field => ({
  name,
  kind: 'bytes',
  times,
  record,
})
const celsius = (name: string): Field => f(name, 'u8', 1, -40, '°C')
const cells = (count: string): Field => many(f('cell_v', 'u16', 0.001, 0, 'V'), count)
const probes = (count: string): Field => many(celsius('temps_c'), count)

// Tables 9-19 and B.4-B.8 of the 2016 edition
const VEHICLE_HEAD = [
  f('vehicle_state', 'u8'),
  f('charge_state', 'u8'),
  f('run_mode', 'u8'),
  f('speed_kmh', 'u16', 0.1, 0, 'km/h'),
  f('odometer_km', 'u32', 0.1, 0, 'km'),
  f('voltage_v', 'u16', 0.1, 0, 'V'),
]
const VEHICLE_TAIL = [
  f('soc_pct', 'u8', 1, 0, '%'),
  f('dcdc_state', 'u8'),
  f('gear', 'u8'),
  f('insulation_kohm', 'u16', 1, 0, 'kΩ'),
]
const FAULTS = ['storage', 'motor', 'engine', 'other'].flatMap((kind) => [
  f(`${kind}_fault_count`, 'u8'),
  many(f(`${kind}_faults`, 'hex32'), `${kind}_fault_count`),
])
const ALARM = [f('max_level', 'u8'), f('flags', 'hex32'), ...FAULTS]
const PLACE = [f('longitude_deg', 'u32', 1e-6, 0, '°'), f('latitude_deg', 'u32', 1e-6, 0, '°')]
const H2_PROBES = [f('h2_max_temp_probe', 'u8')]
const TEMPERATURES = [
  f('count', 'u8'),
  records('packs', 'count', [f('no', 'u8'), f('probe_count', 'u16'), probes('probe_count')]),
]
const CUSTOM = [f('length', 'u16'), many(f('data', 'bytes'), 'length')]

interface Body {
  name: string
  fields: readonly Field[]
}

const BODIES_2016: Record<number, Body> = {
  1: {
    name: 'vehicle',
    fields: [
      ...VEHICLE_HEAD,
      f('current_a', 'u16', 0.1, -1000, 'A'),
      ...VEHICLE_TAIL,
      f('accelerator_pct', 'u8', 1, 0, '%'),
      f('brake_pct', 'u8', 1, 0, '%'),
    ],
  },
  2: {
    name: 'motors',
    fields: [
      f('count', 'u8'),
      records('motors', 'count', [
        f('no', 'u8'),
        f('state', 'u8'),
        celsius('controller_temp_c'),
        f('speed_rpm', 'u16', 1, -20000, 'rpm'),
        f('torque_nm', 'u16', 0.1, -2000, 'N·m'),
        celsius('motor_temp_c'),
        f('controller_voltage_v', 'u16', 0.1, 0, 'V'),
        f('controller_current_a', 'u16', 0.1, -1000, 'A'),
      ]),
    ],
  },
  3: {
    name: 'fuelcell',
    fields: [
      f('voltage_v', 'u16', 0.1, 0, 'V'),
      f('current_a', 'u16', 0.1, 0, 'A'),
      f('consumption_kg_per_100km', 'u16', 0.01, 0, 'kg/100km'),
      f('probe_count', 'u16'),
      many(celsius('probe_temps_c'), 'probe_count'),
      f('h2_max_temp_c', 'u16', 0.1, -40, '°C'),
      ...H2_PROBES,
      f('h2_max_concentration_mgkg', 'u16', 1, 0, 'mg/kg'),
      f('h2_max_concentration_sensor', 'u8'),
      f('h2_max_pressure_mpa', 'u16', 0.1, 0, 'MPa'),
      f('h2_max_pressure_sensor', 'u8'),
      f('hv_dcdc_state', 'u8'),
    ],
  },
  4: {
    name: 'engine',
    fields: [
      f('state', 'u8'),
      f('crank_rpm', 'u16', 1, 0, 'rpm'),
      f('consumption_l_per_100km', 'u16', 0.01, 0, 'L/100km'),
    ],
  },
  5: { name: 'position', fields: [f('status', 'u8'), ...PLACE] },
  6: {
    name: 'extremes',
    fields: [
      f('max_cell_subsystem', 'u8'),
      f('max_cell_no', 'u8'),
      f('max_cell_v', 'u16', 0.001, 0, 'V'),
      f('min_cell_subsystem', 'u8'),
      f('min_cell_no', 'u8'),
      f('min_cell_v', 'u16', 0.001, 0, 'V'),
      f('max_temp_subsystem', 'u8'),
      f('max_temp_probe', 'u8'),
      celsius('max_temp_c'),
      f('min_temp_subsystem', 'u8'),
      f('min_temp_probe', 'u8'),
      celsius('min_temp_c'),
    ],
  },
  7: { name: 'alarm', fields: ALARM },
  8: {
    name: 'voltages',
    fields: [
      f('count', 'u8'),
      records('packs', 'count', [
        f('no', 'u8'),
        f('voltage_v', 'u16', 0.1, 0, 'V'),
        f('current_a', 'u16', 0.1, -1000, 'A'),
        f('cell_total', 'u16'),
        f('first_cell', 'u16'),
        f('cell_count', 'u8'),
        cells('cell_count'),
      ]),
    ],
  },
  9: { name: 'temperatures', fields: TEMPERATURES },
}

// Tables 10-27 of the 2025 edition
const BODIES_2025: Record<number, Body> = {
  1: {
    name: 'vehicle',
    fields: [...VEHICLE_HEAD, f('current_a', 'u16', 0.1, -3000, 'A'), ...VEHICLE_TAIL],
  },
  2: {
    name: 'motors',
    fields: [
      f('count', 'u8'),
      records('motors', 'count', [
        f('no', 'u8'),
        f('state', 'u8'),
        celsius('controller_temp_c'),
        f('speed_rpm', 'u16', 1, -32000, 'rpm'),
        f('torque_nm', 'u32', 0.1, -20000, 'N·m'),
        celsius('motor_temp_c'),
      ]),
    ],
  },
  3: {
    name: 'fuelcell',
    fields: [
      f('h2_max_temp_c', 'u16', 1, -40, '°C'),
      ...H2_PROBES,
      f('h2_max_concentration_pct', 'u16', 0.0001, 0, '%'),
      f('h2_max_concentration_sensor', 'u8'),
      f('h2_max_pressure_mpa', 'u16', 0.1, 0, 'MPa'),
      f('h2_max_pressure_sensor', 'u8'),
      f('hv_dcdc_state', 'u8'),
      f('h2_remaining_pct', 'u8', 1, 0, '%'),
      celsius('hv_dcdc_temp_c'),
    ],
  },
  4: { name: 'engine', fields: [f('crank_rpm', 'u16', 1, 0, 'rpm')] },
  5: { name: 'position', fields: [f('status', 'u8'), f('coordinate_system', 'u8'), ...PLACE] },
  6: {
    name: 'alarm',
    fields: [
      ...ALARM,
      f('general_alarm_count', 'u8'),
      records('general_alarms', 'general_alarm_count', [f('bit', 'u8'), f('level', 'u8')]),
    ],
  },
  7: {
    name: 'voltages',
    fields: [
      f('count', 'u8'),
      records('packs', 'count', [
        f('no', 'u8'),
        f('voltage_v', 'u16', 0.1, 0, 'V'),
        f('current_a', 'u16', 0.1, -3000, 'A'),
        f('cell_count', 'u16'),
        cells('cell_count'),
      ]),
    ],
  },
  8: { name: 'temperatures', fields: TEMPERATURES },
  0x30: {
    name: 'stacks',
    fields: [
      f('count', 'u8'),
      records('stacks', 'count', [
        f('no', 'u8'),
        f('voltage_v', 'u16', 0.1, 0, 'V'),
        f('current_a', 'u16', 0.1, 0, 'A'),
        f('h2_inlet_pressure_kpa', 'u16', 0.1, -100, 'kPa'),
        f('air_inlet_pressure_kpa', 'u16', 0.1, -100, 'kPa'),
        celsius('air_inlet_temp_c'),
        f('coolant_probe_count', 'u16'),
        many(celsius('coolant_temps_c'), 'coolant_probe_count'),
      ]),
    ],
  },
  0x31: {
    name: 'supercapacitor',
    fields: [
      f('system_no', 'u8'),
      f('voltage_v', 'u16', 0.1, 0, 'V'),
      f('current_a', 'u16', 0.1, -3000, 'A'),
      f('cell_count', 'u16'),
      cells('cell_count'),
      f('probe_count', 'u16'),
      probes('probe_count'),
    ],
  },
  0x32: {
    name: 'supercapacitor_extremes',
    fields: [
      f('max_v_system', 'u8'),
      f('max_v_cell', 'u16'),
      f('max_v', 'u16', 0.001, 0, 'V'),
      f('min_v_system', 'u8'),
      f('min_v_cell', 'u16'),
      f('min_v', 'u16', 0.001, 0, 'V'),
      f('max_temp_system', 'u8'),
      f('max_temp_probe', 'u16'),
      celsius('max_temp_c'),
      f('min_temp_system', 'u8'),
      f('min_temp_probe', 'u16'),
      celsius('min_temp_c'),
    ],
  },
  0xff: {
    name: 'signature',
    fields: [
      f('algorithm', 'u8'),
      f('r_length', 'u16'),
      many(f('r', 'bytes'), 'r_length'),
      f('s_length', 'u16'),
      many(f('s', 'bytes'), 's_length'),
    ],
  },
}

const LOGIN = [f('time', 'time6'), f('serial', 'u16'), many(f('iccid', 'text'), 20)]
const LOGOUT = [f('time', 'time6'), f('serial', 'u16')]
const PLATFORM_LOGIN = [
  ...LOGOUT,
  many(f('user', 'text'), 12),
  many(f('password', 'bytes'), 20),
  f('encryption_rule', 'u8'),
]

class Walker {
  readonly segments: Segment[] = []
  at = 0

  constructor(
    readonly bytes: Uint8Array,
    readonly end: number,
  ) {}

  /** Whole big-endian number at the cursor, without moving. */
  peek(size: number): number {
    let raw = 0
    for (let i = 0; i < size; i++) raw = raw * 256 + (this.bytes[this.at + i] ?? 0)
    return raw
  }

  take(size: number, name: string, group: string, value: string | null, unit = ''): void {
    this.segments.push({ offset: this.at, size, name, group, value, unit })
    this.at += size
  }

  /** False when the bytes end before the field does. */
  fields(fields: readonly Field[], group: string): boolean {
    const counts: Record<string, number> = {}
    return fields.every((field) => this.#field(field, group, counts))
  }

  #field(field: Field, group: string, counts: Record<string, number>): boolean {
    const times = typeof field.times === 'string' ? (counts[field.times] ?? 0) : field.times
    if (field.record) {
      for (let i = 0; i < (times ?? 0); i++)
        if (!this.fields(field.record, `${group} ${i + 1}`)) return false
      return true
    }
    if (times !== undefined && (field.kind === 'text' || field.kind === 'bytes'))
      return this.#run(field, group, times)
    for (let i = 0; i < (times ?? 1); i++) {
      const label = times === undefined ? field.name : `${field.name}[${i + 1}]`
      if (!this.#scalar(field, label, group, counts)) return false
    }
    return true
  }

  #run(field: Field, group: string, size: number): boolean {
    if (this.at + size > this.end) return false
    if (size === 0) return true
    const raw = this.bytes.subarray(this.at, this.at + size)
    const text = String.fromCharCode(...raw).replace(/[\0 ]+$/, '')
    this.take(size, field.name, group, field.kind === 'text' ? text : null)
    return true
  }

  #scalar(field: Field, label: string, group: string, counts: Record<string, number>): boolean {
    const size = SIZE[field.kind]
    if (this.at + size > this.end) return false
    const raw = this.peek(size)
    // a count that holds a sentinel is followed by nothing
    counts[field.name] = raw >= 256 ** size - 2 ? 0 : raw
    this.take(size, label, group, physical(field, raw, this.bytes, this.at), field.unit ?? '')
    return true
  }
}

function physical(field: Field, raw: number, bytes: Uint8Array, at: number): string | null {
  if (field.kind === 'time6') return beijingTime(bytes, at)
  if (field.kind === 'hex32') return `0x${raw.toString(16).padStart(8, '0')}`
  if (field.kind === 'bytes') return null
  const highest = 256 ** SIZE[field.kind] - 1
  if (raw === highest) return 'invalid'
  if (raw === highest - 1) return 'abnormal'
  if (field.scale === undefined) return String(raw)
  const digits = field.scale >= 1 ? 0 : Math.round(-Math.log10(field.scale))
  return (raw * field.scale + (field.shift ?? 0)).toFixed(digits)
}

/** Six plain binary bytes, always UTC+8 (clause 6.4). */
function beijingTime(bytes: Uint8Array, at: number): string {
  const [y, mo, d, h, mi, s] = [...bytes.subarray(at, at + 6)].map((one) =>
    String(one).padStart(2, '0'),
  )
  return `20${y}-${mo}-${d} ${h}:${mi}:${s} +08:00`
}

function report(walker: Walker, edition: number): boolean {
  if (!walker.fields([f('time', 'time6')], 'report')) return false
  const bodies = edition === 2025 ? BODIES_2025 : BODIES_2016
  while (walker.at < walker.end) {
    const type = walker.peek(1)
    const custom = type >= 0x80 && type !== 0xff ? { name: 'custom', fields: CUSTOM } : undefined
    const body = bodies[type] ?? custom
    if (!body) return false
    walker.take(1, 'type', body.name, `0x${hexByte(type)}`)
    if (!walker.fields(body.fields, body.name)) return false
  }
  return true
}

function dataUnit(walker: Walker, edition: number, command: number): boolean {
  if (command === 2 || command === 3) return report(walker, edition)
  if (command === 1 && edition === 2016)
    return walker.fields([...LOGIN, f('subsystem_count', 'u8'), f('code_length', 'u8')], 'login')
  if (command === 1)
    return walker.fields(
      [...LOGIN, f('bms_count', 'u8'), many(f('packs_per_bms', 'u8'), 'bms_count')],
      'login',
    )
  if (command === 4 || command === 6) return walker.fields(LOGOUT, 'logout')
  if (command === 5) return walker.fields(PLATFORM_LOGIN, 'platform_login')
  return false
}

const COMMANDS: Record<number, string> = {
  1: 'login',
  2: 'realtime',
  3: 'reissue',
  4: 'logout',
  5: 'platform login',
  6: 'platform logout',
  7: 'heartbeat',
  8: 'time sync',
  9: 'activation',
  10: 'activation result',
  11: 'key exchange',
  0x80: 'query',
  0x81: 'set',
  0x82: 'control',
}

/** Segments that cover the frame from its first byte on, without gaps; empty if it is none. */
export function layout(bytes: Uint8Array): Segment[] {
  const walker = new Walker(bytes, bytes.length)
  if (bytes.length < 25 || bytes[0] !== bytes[1]) return []
  const edition = bytes[0] === 0x23 ? 2016 : bytes[0] === 0x24 ? 2025 : 0
  if (edition === 0) return []
  const command = bytes[2] ?? 0
  const encryption = bytes[21] ?? 0
  const length = ((bytes[22] ?? 0) << 8) | (bytes[23] ?? 0)
  walker.take(2, 'start', 'header', String(edition))
  walker.take(1, 'command', 'header', COMMANDS[command] ?? `0x${hexByte(command)}`)
  walker.take(1, 'reply_flag', 'header', `0x${hexByte(bytes[3] ?? 0)}`)
  walker.take(17, 'vin', 'header', String.fromCharCode(...bytes.subarray(4, 21)).replace(/\0/g, ''))
  walker.take(1, 'encryption', 'header', `0x${hexByte(encryption)}`)
  walker.take(2, 'length', 'header', String(length), 'B')
  const end = Math.min(24 + length, bytes.length)
  const unit = new Walker(bytes, end)
  unit.at = 24
  if (encryption === 1) dataUnit(unit, edition, command)
  if (unit.at < end) unit.take(end - unit.at, 'data', 'data unit', null)
  walker.segments.push(...unit.segments)
  walker.at = unit.at
  if (walker.at < bytes.length)
    walker.take(1, 'checksum', 'trailer', `0x${hexByte(bytes[walker.at] ?? 0)}`)
  if (walker.at < bytes.length) walker.take(bytes.length - walker.at, 'surplus', 'trailer', null)
  return walker.segments
}
