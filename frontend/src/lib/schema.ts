// JSON Schemas of parameters as forms: what kind of control each parameter is, and back to values.
import type { Schema } from './jobs'

export type Control = 'text' | 'code' | 'lines' | 'number' | 'check' | 'choice' | 'json'

export interface ParamField {
  name: string
  control: Control
  required: boolean
  options: (string | number)[]
  whole: boolean
  min: number | undefined
  max: number | undefined
  /** as the control holds it */
  start: string | boolean
}

const CODE = new Set(['sql', 'source', 'query', 'script'])

function resolved(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.split('/').at(-1)
  return name ? (root.$defs?.[name] ?? {}) : schema
}

/** Without the `null` of what may be left out. */
function plain(schema: Schema, root: Schema): Schema {
  const found = resolved(schema, root)
  const real = found.anyOf?.filter((one) => resolved(one, root).type !== 'null')
  return real?.length === 1 && real[0] ? { ...found, ...resolved(real[0], root) } : found
}

function controlOf(name: string, schema: Schema): Control {
  if (schema.enum) return 'choice'
  if (schema.type === 'boolean') return 'check'
  if (schema.type === 'integer' || schema.type === 'number') return 'number'
  if (schema.type === 'string') return CODE.has(name) ? 'code' : 'text'
  if (schema.type === 'array' && schema.items?.type === 'string') return 'lines'
  return 'json'
}

function startOf(control: Control, value: unknown): string | boolean {
  if (control === 'check') return value === true
  if (value === undefined || value === null) return ''
  if (control === 'lines' && Array.isArray(value)) return value.join('\n')
  if (control === 'json')
    return JSON.stringify(value).length <= 2 ? '' : JSON.stringify(value, null, 2)
  return String(value)
}

/** The fields of a form, in the schema's order; `given` are values to begin with. */
export function fieldsOf(root: Schema, given: Record<string, unknown> = {}): ParamField[] {
  const top = resolved(root, root)
  return Object.entries(top.properties ?? {}).map(([name, property]) => {
    const schema = plain(property, root)
    const control = controlOf(name, schema)
    return {
      name,
      control,
      required: top.required?.includes(name) ?? false,
      options: schema.enum ?? [],
      whole: schema.type === 'integer',
      min: schema.minimum ?? (schema.exclusiveMinimum !== undefined ? 0 : undefined),
      max: schema.maximum,
      start: startOf(control, name in given ? given[name] : property.default),
    }
  })
}

export class BadJson extends Error {
  constructor(readonly field: string) {
    super(field)
  }
}

/** What a control holds as a value; undefined: it is left out. Raises `BadJson`. */
function valueOf(field: ParamField, held: string | boolean): unknown {
  if (typeof held === 'boolean') return held
  if (held.trim() === '') return undefined
  if (field.control === 'number') return Number(held)
  if (field.control === 'lines')
    return held
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
  if (field.control !== 'json')
    return field.options.find((option) => String(option) === held) ?? held
  try {
    return JSON.parse(held) as unknown
  } catch {
    throw new BadJson(field.name)
  }
}

/** The parameters of a filled form; what is empty is left to the default. */
export function paramsOf(
  fields: readonly ParamField[],
  held: Record<string, string | boolean>,
): Record<string, unknown> {
  const params: Record<string, unknown> = {}
  for (const field of fields) {
    const value = valueOf(field, held[field.name] ?? field.start)
    if (value !== undefined) params[field.name] = value
  }
  return params
}
