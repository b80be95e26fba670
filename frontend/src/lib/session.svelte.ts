import { t } from '../i18n/index.svelte'
import { api, ApiProblem, onSignedOut, onUnproved } from './api'
import { forgetDrafts } from './drafts'
import { toasts } from './toasts.svelte'
import type { Session, UiSettings } from './types'

const AGAIN_MS = 2_000

/** Who is signed in, and what the server says about this installation. */
class SessionState {
  ready = $state(false)
  current = $state.raw<Session | null>(null)
  ui = $state.raw<UiSettings>({
    tiles: '',
    tiles_credit: '',
    version: '',
    demo: false,
    url: '',
    registration: false,
  })
  expired = $state(false)
  /** nobody could say who is signed in: it is asked again */
  away = $state(false)

  async start(): Promise<void> {
    onSignedOut(() => {
      if (this.current) this.expired = true
      this.current = null
    })
    onUnproved(() => {
      if (this.current) this.current = { ...this.current, actions: [], parts: [], unproved: true }
    })
    while (!(await this.#find())) await new Promise((again) => setTimeout(again, AGAIN_MS))
    this.ready = true
  }

  /** False when that cannot be told now: a cloud that is away has signed nobody out. */
  async #find(): Promise<boolean> {
    const [ui, session] = await Promise.allSettled([api.ui(), api.session()])
    if (ui.status === 'fulfilled') this.ui = ui.value
    if (session.status === 'fulfilled') this.current = session.value
    const unknown =
      session.status === 'rejected' && (session.reason as ApiProblem).status !== 401
    this.away = unknown || ui.status === 'rejected'
    return !this.away
  }

  /** Ask again who is signed in, after something about that has changed. */
  async refresh(): Promise<void> {
    this.current = await api.session()
  }

  async signIn(user: string, password: string, code?: string): Promise<void> {
    this.begin(await api.signIn(user, password, code))
  }

  begin(session: Session): void {
    this.current = session
    this.expired = false
  }

  /** Whether an action is allowed on the whole tenant. */
  may(action: string): boolean {
    return this.current?.actions.includes(action) ?? false
  }

  /** Whether an action is allowed anywhere, if only in a project or on vehicles with some labels. */
  maySomewhere(action: string): boolean {
    return this.may(action) || !!this.current?.parts.some((part) => part.actions.includes(action))
  }

  /** The scopes to which an action is limited; none where it is allowed on the whole tenant. */
  scopesOf(action: string): string[] {
    if (this.may(action)) return []
    const parts = this.current?.parts.filter((part) => part.actions.includes(action))
    return parts?.map((part) => part.scope) ?? []
  }

  /** Nobody is signed out whom the server has not heard of. */
  async signOut(): Promise<void> {
    try {
      await api.signOut()
    } catch (reason) {
      if (!(reason instanceof ApiProblem)) throw reason
      if (reason.status !== 401) {
        toasts.show(t('nav.stillSignedIn'), 'bad')
        return
      }
    }
    forgetDrafts()
    this.current = null
  }
}

export const session = new SessionState()
