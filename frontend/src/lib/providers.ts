// Calls about OpenID Connect providers, and the form in which one is added or changed.
import { json } from './http'
import { session } from './session.svelte'
import type { Page } from './types'

export interface Provider {
  id: string
  name: string
  /** for people of all tenants */
  installation: boolean
  issuer: string
  client_id: string
  /** it has a secret */
  confidential: boolean
  domains: string[]
  creates: boolean
  role: string | null
  claim: string | null
  /** roles by values of the claim */
  roles: Record<string, string>
  created: string
  /** where it sends browsers back to */
  callback: string
}

export interface ProviderBody {
  name: string
  issuer: string
  client_id: string
  /** left out = the one that there is; empty = a public client */
  client_secret?: string
  domains: string[]
  creates: boolean
  role: string | null
  claim: string | null
  roles: Record<string, string>
  installation: boolean
}

/** What is done about the secret: the old one stays, a new one is given, or there is none. */
export type SecretChoice = 'keep' | 'new' | 'none'

/** The choices that make sense: a secret is kept for the issuer and client it was given for. */
export function secretChoices(
  before: Provider | null,
  now: { issuer: string; client: string },
): SecretChoice[] {
  const same = before?.issuer === now.issuer && before.client_id === now.client
  return before?.confidential && same ? ['keep', 'new', 'none'] : ['new', 'none']
}

/** Words between commas, spaces or lines, in lower case. */
export const domainsOf = (text: string): string[] =>
  text.toLowerCase().split(/[\s,;]+/).filter(Boolean)

/** Where people of a tenant sign in at its provider. */
export const signInLink = (id: string): string =>
  `${session.ui.url}/?provider=${encodeURIComponent(id)}`

/** What must be registered at a provider. */
export const callbackUrl = (): string => `${session.ui.url}/v1/session/openid/callback`

const ROUTE = '/v1/login-providers'
const at = (id: string): string => `${ROUTE}/${encodeURIComponent(id)}`

export const providers = {
  all: () => json<Page<Provider>>(ROUTE),
  set: (id: string, body: ProviderBody) =>
    json<Provider>(at(id), { method: 'PUT', json: body }),
  remove: (one: Provider) =>
    json<void>(at(one.id), {
      method: 'DELETE',
      query: one.installation ? { installation: true } : {},
    }),
}
