// What meters and limits are called in the language of the console.
import { lookup } from '../i18n/index.svelte'

export const meterName = (name: string): string =>
  lookup(`meter.${name}`, name.replaceAll('_', ' '))

export const unitName = (unit: string): string => lookup(`unit.${unit}`, unit)

/** The unit that a price is for. */
export const oneUnit = (unit: string): string => lookup(`unit.one.${unit}`, unitName(unit))

export const limitName = (name: string): string =>
  lookup(`limit.${name}`, name.replaceAll('_', ' '))
