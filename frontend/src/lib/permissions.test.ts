import { describe, expect, it } from 'vitest'
import { agentName } from './agents'
import { changes, differs } from './changes'
import { actionHelp, grouped, parseScope, reaches, scopeText } from './permissions'

describe('permissions', () => {
  it('reads the scopes of a session', () => {
    expect(parseScope('')).toEqual({ project: null, labels: {} })
    expect(parseScope('project:lab')).toEqual({ project: 'lab', labels: {} })
    expect(parseScope('labels:depot=north,fleet=a')).toEqual({
      project: null,
      labels: { depot: 'north', fleet: 'a' },
    })
    expect(scopeText(parseScope('labels:depot=north'))).toBe('Vehicles with depot=north')
  })
  it('knows which grants reach into a project', () => {
    expect(reaches(parseScope(''), 'lab')).toBe(true)
    expect(reaches(parseScope('project:lab'), 'lab')).toBe(true)
    expect(reaches(parseScope('project:other'), 'lab')).toBe(false)
    expect(reaches(parseScope('labels:depot=north'), 'lab')).toBe(false)
    expect(reaches(parseScope('project:other'), '')).toBe(true)
  })
  it('groups actions by their thing and has words for them', () => {
    expect(grouped(['keys:read', 'vehicles:read', 'keys:write'])).toEqual([
      { thing: 'keys', names: ['keys:read', 'keys:write'] },
      { thing: 'vehicles', names: ['vehicles:read'] },
    ])
    expect(actionHelp('models:read')).toBe('See vehicle models')
    expect(actionHelp('new:thing', 'Told by the server')).toBe('Told by the server')
  })
})

describe('changes', () => {
  it('shows what differs first, and members of lists that came and went', () => {
    const before = { name: 'Look', actions: ['a', 'b'], kept: 1 }
    const after = { name: 'Look', actions: ['b', 'c'], added: true, kept: 1 }
    const rows = changes(before, after)
    expect(rows.map((row) => [row.field, differs(row)])).toEqual([
      ['actions', true],
      ['added', true],
      ['kept', false],
      ['name', false],
    ])
    expect([rows[0]?.gone, rows[0]?.come]).toEqual([['a'], ['c']])
    expect(rows[1]?.before).toBeUndefined()
  })
  it('takes entries without one side', () => {
    expect(changes(null, { x: null }).map((row) => differs(row))).toEqual([true])
    expect(changes(null, null)).toEqual([])
  })
})

describe('agents', () => {
  it('names browsers and programs', () => {
    const edge = 'Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140'
    expect(agentName(edge)).toBe('Edge · Windows')
    expect(agentName('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0')).toBe(
      'Firefox · Linux',
    )
    expect(agentName('carcloud/0.1 python')).toBe('carcloud/0.1')
    expect(agentName('')).toBe('')
  })
})
