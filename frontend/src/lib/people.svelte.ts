// Everybody in the tenant with their roles: what the tabs of the page People share.
import { access, type Action, type Grant, type OpenSession, type Project, type Role, type User } from './access'
import { ApiProblem } from './http'
import { roleName } from './permissions'
import { session } from './session.svelte'
import { turns } from './turns'

export class People {
  users = $state.raw<User[]>([])
  grants = $state.raw<Grant[]>([])
  roles = $state.raw<Role[]>([])
  actions = $state.raw<Action[]>([])
  projects = $state.raw<Project[]>([])
  sessions = $state.raw<OpenSession[]>([])
  busy = $state(true)
  problem = $state.raw<ApiProblem | null>(null)

  /** Roles that the caller may give: nobody can give more than they may do. */
  givable = $derived(
    this.roles.filter((role) => role.actions.every((action) => session.may(action))),
  )

  /** The least of them, with which a form begins. */
  get least(): string {
    return (this.givable.find((role) => role.id === 'viewer') ?? this.givable[0])?.id ?? ''
  }

  grantsOf(user: string): Grant[] {
    return this.grants.filter((grant) => grant.user === user)
  }

  sessionsOf(user: string): OpenSession[] {
    return this.sessions.filter((one) => one.user === user)
  }

  nameOf(role: string): string {
    return roleName(role, this.roles.find((one) => one.id === role)?.name)
  }

  #turn = turns()

  load = async (): Promise<void> => {
    const inTurn = this.#turn()
    this.busy = true
    try {
      const [users, grants, roles, actions, sessions, projects] = await Promise.all([
        access.users(),
        access.grants(),
        access.roles(),
        access.actions(),
        access.sessions(false),
        session.may('tenant:read') ? access.projects() : null,
      ])
      if (!inTurn()) return
      this.users = users.items
      this.grants = grants.items
      this.roles = roles.items
      this.actions = actions.items
      this.sessions = sessions.items
      this.projects = projects?.items ?? []
      this.problem = null
    } catch (reason) {
      if (!(reason instanceof ApiProblem)) throw reason
      if (inTurn()) this.problem = reason
    } finally {
      this.busy = false
    }
  }
}
