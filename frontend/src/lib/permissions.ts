// Actions, roles and scopes in the reader's words.
import { lookup, t } from '../i18n/index.svelte'
import type { Role, Scope } from './access'

export const EVERYWHERE: Scope = { project: null, labels: {} }

/** What an action allows; one that the console has no words for keeps those of the server. */
export const actionHelp = (name: string, help = name): string =>
  lookup(`action.${name.replace(':', '.')}`, help)

export const thingName = (thing: string): string => lookup(`thing.${thing}`, thing)

export const roleName = (id: string, name = id): string => lookup(`role.${id}`, name)

export const roleHelp = (role: Role): string => lookup(`role.${role.id}.help`, role.help)

export interface ActionGroup {
  thing: string
  names: string[]
}

/** Actions by the thing that they are about, in the order in which they come. */
export function grouped(names: readonly string[]): ActionGroup[] {
  const groups = new Map<string, string[]>()
  for (const name of names) {
    const thing = name.split(':')[0] ?? name
    groups.set(thing, [...(groups.get(thing) ?? []), name])
  }
  return [...groups].map(([thing, list]) => ({ thing, names: list }))
}

const labelled = (scope: Scope): string[] =>
  Object.entries(scope.labels).map(([key, value]) => `${key}=${value}`)

export function scopeText(scope: Scope): string {
  if (scope.project !== null) return t('scope.inProject', { project: scope.project })
  const labels = labelled(scope)
  return labels.length ? t('scope.onLabels', { labels: labels.join(', ') }) : t('scope.everywhere')
}

export const isEverywhere = (scope: Scope): boolean =>
  scope.project === null && Object.keys(scope.labels).length === 0

/** The scope behind the text of a session's part: `project:NAME`, `labels:key=value,…`. */
export function parseScope(text: string): Scope {
  const at = text.indexOf(':')
  const rest = text.slice(at + 1)
  if (text.startsWith('project:')) return { project: rest, labels: {} }
  if (!text.startsWith('labels:')) return EVERYWHERE
  const pairs = rest.split(',').map((pair): [string, string] => {
    const cut = pair.indexOf('=')
    return [pair.slice(0, cut), pair.slice(cut + 1)]
  })
  return { project: null, labels: Object.fromEntries(pairs) }
}

/** Whether a grant with this scope lets somebody act in a project; without one, anywhere. */
export const reaches = (scope: Scope, project: string): boolean =>
  !project || isEverywhere(scope) || scope.project === project
