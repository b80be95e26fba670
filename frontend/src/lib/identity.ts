// Calls about identity: one's own second factor, invitations.
import type { Scope } from './access'
import { json } from './http'
import type { Page, Session } from './types'

export interface Invitation {
  id: string
  /** whom it is for */
  note: string
  role: string
  scope: Scope
  by: string
  created: string
  expires: string
}

export interface NewInvitation {
  note: string
  role: string
  scope: Scope
  days: number
}

export interface Offer {
  tenant: string
  tenant_name: string
  note: string
  role: string
  expires: string
  /** at which one may come in with it */
  providers: ShownProvider[]
}

export interface ShownProvider {
  id: string
  name: string
}

/** How one may sign in oneself. */
export interface Connection {
  connected: boolean
  /** null where it was removed, or there is none */
  provider: ShownProvider | null
  /** what the provider calls one */
  subject: string
  /** there is one to sign in with */
  password: boolean
  second_factor: boolean
  /** which could be connected */
  providers: ShownProvider[]
  /** with which identity one came back, and has to say yes or no */
  proposal: (ShownProvider & { identity: string }) | null
}

/** What signing in takes. */
export interface Proof {
  password: string
  code?: string
}

export interface SecondFactor {
  on: boolean
  recovery_codes: number
}

export interface Enrolment {
  secret: string
  uri: string
  /** a picture of `uri`, as a data URL */
  qr: string
}

interface RecoveryCodes {
  recovery_codes: string[]
}

const INVITATION = '/v1/session/invitation'
const CONNECT = '/v1/session/openid/connect'
const SECOND = '/v1/session/second-factor'

export const identity = {
  /** Those for everybody, and the one whose id is known. */
  providers: (known: string) =>
    json<Page<ShownProvider>>('/v1/session/openid', { query: { provider: known || null } }),
  /** Leave for a provider; the browser comes back signed in, or with `?refused=`. With the secret
   *  of an `invitation` and a `name`, a new user comes of it. */
  signInAt: async (
    provider: string,
    more: { back?: string; invitation?: string; name?: string } = {},
  ): Promise<void> => {
    const told = await json<{ url: string }>('/v1/session/openid', {
      method: 'POST',
      json: { provider, ...more },
    })
    location.assign(told.url)
  },
  connection: () => json<Connection>(CONNECT),
  /** Leave for a provider; the browser comes back to the account with a proposal. */
  connectTo: async (provider: string, proof: Proof): Promise<void> => {
    const told = await json<{ url: string }>(CONNECT, {
      method: 'POST',
      json: { provider, ...proof },
    })
    location.assign(told.url)
  },
  confirmConnection: () => json<void>(CONNECT, { method: 'PUT' }),
  disconnect: (proof: Proof) =>
    json<void>('/v1/session/openid/disconnect', { method: 'POST', json: proof }),
  invitations: () => json<Page<Invitation>>('/v1/invitations'),
  invite: (body: NewInvitation) =>
    json<{ invitation: Invitation; link: string }>('/v1/invitations', {
      method: 'POST',
      json: body,
    }),
  revokeInvitation: (id: string) =>
    json<void>(`/v1/invitations/${encodeURIComponent(id)}`, { method: 'DELETE' }),
  offer: (secret: string) => json<Offer>(INVITATION, { method: 'POST', json: { secret } }),
  accept: (secret: string, name: string, password: string) =>
    json<Session>(`${INVITATION}/accept`, { method: 'POST', json: { secret, name, password } }),
  join: (secret: string) =>
    json<Offer>(`${INVITATION}/join`, { method: 'POST', json: { secret } }),
  /** Make a tenant of one's own; signed in as its owner. */
  register: (tenant: { id: string; name: string; owner: { name: string; password: string } }) =>
    json<Session>('/v1/registration', { method: 'POST', json: tenant }),
  secondFactor: () => json<SecondFactor>(SECOND),
  beginSecondFactor: (password: string) =>
    json<Enrolment>(SECOND, { method: 'POST', json: { password } }),
  confirmSecondFactor: (code: string) =>
    json<RecoveryCodes>(SECOND, { method: 'PUT', json: { code } }),
  renewRecoveryCodes: (code: string) =>
    json<RecoveryCodes>(`${SECOND}/recovery-codes`, { method: 'POST', json: { code } }),
  turnSecondFactorOff: (code: string) =>
    json<void>(`${SECOND}/off`, { method: 'POST', json: { code } }),
}
