import { describe, expect, it } from 'vitest'
import { folderAbove, nameOf, previewKind, steps } from './buckets'
import { tablePath, tablesOf, type JobDetail, type Schema } from './jobs'
import { months, stacked } from './metering'
import { BadJson, fieldsOf, paramsOf } from './schema'

describe('keys of objects', () => {
  it('lead back through their folders', () => {
    expect(steps('2026/05/')).toEqual([
      { name: '2026', prefix: '2026/' },
      { name: '05', prefix: '2026/05/' },
    ])
    expect([folderAbove('2026/05/'), folderAbove('2026/'), folderAbove('')]).toEqual([
      '2026/',
      '',
      '',
    ])
    expect(['a/b.txt', 'a/b/', 'b', '/'].map(nameOf)).toEqual(['b.txt', 'b/', 'b', '/'])
  })
  it('choose how an object is looked into, never as a page', () => {
    expect(previewKind('a.png', 'image/png', 9)).toBe('image')
    expect(previewKind('a.svg', 'image/svg+xml', 9)).toBe('text')
    expect(previewKind('a.html', 'text/html', 9)).toBe('text')
    expect(previewKind('A.MCAP', 'application/octet-stream', 9)).toBe('table')
    expect(previewKind('a.json', 'application/json', 9)).toBe('json')
    expect(previewKind('a.json', 'application/json', 1e6)).toBe('text')
    expect(previewKind('a.bin', 'application/octet-stream', 9)).toBe('none')
  })
})

const SCHEMA: Schema = {
  $ref: '#/$defs/Params',
  $defs: {
    Params: {
      type: 'object',
      properties: {
        sql: { type: 'string' },
        format: { enum: ['csv', 'parquet'], default: 'parquet' },
        from: { anyOf: [{ type: 'string' }, { type: 'null' }], default: null },
        step_hours: { type: 'number', default: 24 },
        requirements: { type: 'array', items: { type: 'string' }, default: [] },
        arguments: { type: 'object', default: {} },
        force: { type: 'boolean', default: false },
      },
      required: ['sql'],
    },
  },
}

describe('forms of parameters', () => {
  const fields = fieldsOf(SCHEMA, { sql: 'SELECT 1' })
  const held = Object.fromEntries(fields.map((field) => [field.name, field.start]))
  it('have the control that the schema asks for', () => {
    expect(fields.map(({ name, control }) => [name, control])).toEqual([
      ['sql', 'code'],
      ['format', 'choice'],
      ['from', 'text'],
      ['step_hours', 'number'],
      ['requirements', 'lines'],
      ['arguments', 'json'],
      ['force', 'check'],
    ])
  })
  it('give back values, and leave out what is empty', () => {
    expect(paramsOf(fields, held)).toEqual({
      sql: 'SELECT 1',
      format: 'parquet',
      step_hours: 24,
      force: false,
    })
    const filled = { ...held, requirements: ' a==1 \n\nb==2', arguments: '{"x": [1]}', force: true }
    expect(paramsOf(fields, filled)).toMatchObject({
      requirements: ['a==1', 'b==2'],
      arguments: { x: [1] },
      force: true,
    })
    expect(() => paramsOf(fields, { ...held, arguments: '{' })).toThrow(BadJson)
  })
  it('begin with what was asked for before', () => {
    const again = fieldsOf(SCHEMA, paramsOf(fields, { ...held, arguments: '{"x":1}' }))
    const start = Object.fromEntries(again.map((field) => [field.name, field.start]))
    expect(paramsOf(again, start)).toMatchObject({ arguments: { x: 1 } })
  })
})

describe('costs', () => {
  it('are stacked by day, the smallest together', () => {
    const rows = [
      ['01', 'a', 5],
      ['01', 'b', 1],
      ['02', 'c', 2],
      ['02', 'a', 1],
      ['09', 'a', 7],
    ] as const
    const found = stacked(rows, ['01', '02'], ([slot, name, value]) => ({ slot, name, value }), 1, 'rest')
    expect(found).toEqual([
      { name: 'a', values: [5, 1] },
      { name: 'rest', values: [1, 2] },
    ])
  })
  it('go back month by month', () => {
    expect(months(new Date('2026-01-31T23:00:00Z'), 3)).toEqual(['2026-01', '2025-12', '2025-11'])
  })
})

describe('tables that a job wrote', () => {
  const of = (result: unknown) => tablesOf({ result } as JobDetail)
  it('are read from what its kind told, which may be anything', () => {
    expect(of({ tables: [{ name: 'a', mode: 'append', rows: 2 }, { name: 'b', mode: 'replace' }] })).toEqual([
      { name: 'a', mode: 'append', rows: 2 },
      { name: 'b', mode: 'replace', rows: null },
    ])
    for (const other of [null, 3, 'text', [], {}, { tables: 4 }, { tables: [{}] }])
      expect(of(other)).toEqual([])
  })
  it('are asked for on the page of SQL', () => {
    const link = new URL(tablePath('trip_stats'), 'http://here')
    expect(link.pathname).toBe('/sql')
    expect(link.searchParams.get('sql')).toBe('SELECT * FROM "trip_stats" LIMIT 100')
  })
})
