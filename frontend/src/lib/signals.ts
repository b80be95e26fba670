// The signals that have a tile of their own on the vehicle page, and short names of paths.
import type { Key } from '../i18n/index.svelte'

const BATTERY = 'Vehicle.Powertrain.TractionBattery'

export const CELLS = `${BATTERY}.CellVoltage.CellVoltages`
export const PROBES = `${BATTERY}.Temperature.CellTemperature`

export interface Tile {
  path: string
  label: Key
  digits: number
  unit?: string
  /** shown value = value * scale */
  scale?: number
}

export const TILES: readonly Tile[] = [
  { path: 'Vehicle.Speed', label: 'signal.speed', digits: 1 },
  { path: `${BATTERY}.StateOfCharge.Displayed`, label: 'signal.soc', digits: 0 },
  { path: `${BATTERY}.CurrentVoltage`, label: 'signal.voltage', digits: 1 },
  { path: `${BATTERY}.CurrentCurrent`, label: 'signal.current', digits: 1 },
  { path: `${BATTERY}.CurrentPower`, label: 'signal.power', digits: 1, unit: 'kW', scale: 0.001 },
  {
    path: 'Vehicle.TraveledDistance',
    label: 'signal.odometer',
    digits: 0,
    unit: 'km',
    scale: 0.001,
  },
  { path: 'Vehicle.Powertrain.ElectricMotor.Speed', label: 'signal.motorSpeed', digits: 0 },
  { path: 'Vehicle.Powertrain.ElectricMotor.Torque', label: 'signal.torque', digits: 0 },
  { path: 'Vehicle.Powertrain.ElectricMotor.Temperature', label: 'signal.motorTemp', digits: 0 },
  { path: `${BATTERY}.Temperature.Max`, label: 'signal.hottest', digits: 0 },
  { path: `${BATTERY}.CellVoltage.Min`, label: 'signal.weakest', digits: 3 },
  {
    path: `${BATTERY}.InsulationResistance`,
    label: 'signal.insulation',
    digits: 0,
    unit: 'kΩ',
    scale: 0.001,
  },
  { path: `${BATTERY}.ChargingState`, label: 'signal.charging', digits: 0 },
  { path: 'Vehicle.Powertrain.Transmission.SelectedGear', label: 'signal.gear', digits: 0 },
]

/** What the plots start with: how it drives, and how the battery bears it. */
export const FIRST_PLOTS: readonly string[] = [
  `Vehicle.Speed~${BATTERY}.CurrentPower`,
  `${BATTERY}.StateOfCharge.Displayed`,
  `${BATTERY}.CellVoltage.Min~${BATTERY}.CellVoltage.Max`,
  `${BATTERY}.Temperature.Max`,
]

/** The last two steps of a path, which is how people speak of a signal. */
export const shortPath = (path: string): string => path.split('.').slice(-2).join('.')

/** VSS gears: 0 neutral, 126 park, 127 drive, negative reverse, else the gear. */
export function gearName(gear: unknown): string {
  if (typeof gear !== 'number') return '–'
  const names: Record<number, string> = { 0: 'N', 126: 'P', 127: 'D' }
  return names[gear] ?? (gear < 0 ? 'R' : String(gear))
}

const UNITS: Record<string, string> = {
  percent: '%',
  celsius: '°C',
  degc: '°C',
  'cubic centimeters': 'cm³',
  ohm: 'Ω',
  degrees: '°',
  deg: '°',
  'm/s^2': 'm/s²',
}

export const unitName = (unit: string | null | undefined): string =>
  unit ? (UNITS[unit.toLowerCase()] ?? unit) : ''

const LARGE: Record<string, [string, number]> = {
  W: ['kW', 0.001],
  m: ['km', 0.001],
  ohm: ['kΩ', 0.001],
}

/** The unit in which a car's values read well, and the factor to it: W as kW, m as km. */
export function readableUnit(unit: string | null | undefined): { unit: string; factor: number } {
  const [name, factor] = LARGE[unit ?? ''] ?? LARGE[unit?.toLowerCase() ?? ''] ?? []
  return name ? { unit: name, factor: factor ?? 1 } : { unit: unitName(unit), factor: 1 }
}
