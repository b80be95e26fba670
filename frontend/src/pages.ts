// Every page of the console: its path, its place in the navigation, its own chunk of code.
import type { Component } from 'svelte'
import { t, type Key } from './i18n/index.svelte'
import type { IconName } from './lib/icons'
import { session } from './lib/session.svelte'

export const SECTIONS = ['fleet', 'data', 'platform'] as const
export type Section = (typeof SECTIONS)[number]

export interface PageEntry {
  name: string
  /** `:id` is an argument, given to the page as a prop of that name */
  path: string
  title: Key | ((args: Record<string, string>) => string)
  load: () => Promise<{ default: Component<any> }>
  /** shown in the navigation if it has a section and an icon */
  section?: Section
  icon?: IconName
  /** reached from the menu with the user's name */
  menu?: boolean
  /** the page that the navigation marks while this one is open */
  under?: string
  /** actions of which one must be allowed; nobody else is offered the page */
  needs?: readonly string[]
  /** it is enough that it is allowed in a project, or on vehicles with some labels */
  partly?: boolean
}

export const PAGES: readonly PageEntry[] = [
  {
    name: 'map',
    path: '/',
    title: 'nav.map',
    load: () => import('./pages/MapPage.svelte'),
    section: 'fleet',
    icon: 'map',
    needs: ['telemetry:read'],
    partly: true,
  },
  {
    name: 'vehicles',
    path: '/vehicles',
    title: 'nav.vehicles',
    load: () => import('./pages/VehiclesPage.svelte'),
    section: 'fleet',
    icon: 'car',
    needs: ['vehicles:read'],
    partly: true,
  },
  {
    name: 'vehicle',
    path: '/vehicles/:id',
    title: (args) => args['id'] ?? '',
    load: () => import('./pages/VehiclePage.svelte'),
    under: 'vehicles',
    needs: ['vehicles:read'],
    partly: true,
  },
  {
    name: 'models',
    path: '/models',
    title: 'models.title',
    load: () => import('./pages/ModelsPage.svelte'),
    section: 'fleet',
    icon: 'list',
    needs: ['models:read'],
  },
  {
    name: 'model',
    path: '/models/:id',
    title: (args) => args['id'] ?? '',
    load: () => import('./pages/ModelPage.svelte'),
    under: 'models',
    needs: ['models:read'],
  },
  {
    name: 'signals',
    path: '/signals',
    title: 'catalogue.title',
    load: () => import('./pages/SignalsPage.svelte'),
    section: 'data',
    icon: 'chart',
    needs: ['signals:read'],
    partly: true,
  },
  {
    name: 'campaigns',
    path: '/campaigns',
    title: 'campaigns.title',
    load: () => import('./pages/CampaignsPage.svelte'),
    section: 'data',
    icon: 'collect',
    needs: ['campaigns:read'],
  },
  {
    name: 'new-campaign',
    path: '/campaigns/new',
    title: 'campaign.new',
    load: () => import('./pages/CampaignEditPage.svelte'),
    under: 'campaigns',
    needs: ['campaigns:write'],
  },
  {
    name: 'campaign',
    path: '/campaigns/:id',
    title: (args) => args['id'] ?? '',
    load: () => import('./pages/CampaignPage.svelte'),
    under: 'campaigns',
    needs: ['campaigns:read'],
  },
  {
    name: 'edit-campaign',
    path: '/campaigns/:id/edit',
    title: (args) => args['id'] ?? '',
    load: () => import('./pages/CampaignEditPage.svelte'),
    under: 'campaigns',
    needs: ['campaigns:write'],
  },
  {
    name: 'sql',
    path: '/sql',
    title: 'nav.sql',
    load: () => import('./pages/SqlPage.svelte'),
    section: 'data',
    icon: 'sql',
    needs: ['queries:run'],
    partly: true,
  },
  {
    name: 'dead-letters',
    path: '/dead-letters',
    title: 'nav.deadLetters',
    load: () => import('./pages/DeadLettersPage.svelte'),
    section: 'data',
    icon: 'dead',
    needs: ['dead-letters:read'],
  },
  {
    name: 'forwarding',
    path: '/forwarding',
    title: 'nav.forwarding',
    load: () => import('./pages/ForwardingPage.svelte'),
    section: 'data',
    icon: 'forward',
    needs: ['forwarding:read'],
  },
  {
    name: 'people',
    path: '/people',
    title: 'nav.people',
    load: () => import('./pages/PeoplePage.svelte'),
    section: 'platform',
    icon: 'people',
    needs: ['people:read'],
  },
  {
    name: 'keys',
    path: '/keys',
    title: 'nav.keys',
    load: () => import('./pages/KeysPage.svelte'),
    section: 'platform',
    icon: 'key',
  },
  {
    name: 'audit',
    path: '/audit',
    title: 'nav.audit',
    load: () => import('./pages/AuditPage.svelte'),
    section: 'platform',
    icon: 'audit',
    needs: ['audit:read'],
  },
  {
    name: 'tenants',
    path: '/tenants',
    title: 'nav.tenants',
    load: () => import('./pages/TenantsPage.svelte'),
    section: 'platform',
    icon: 'tenant',
    needs: ['tenant:read', 'tenants:read'],
  },
  {
    name: 'account',
    path: '/account',
    title: 'nav.account',
    menu: true,
    load: () => import('./pages/AccountPage.svelte'),
  },
  {
    name: 'buckets',
    path: '/buckets',
    title: 'buckets.title',
    load: () => import('./pages/BucketsPage.svelte'),
    section: 'platform',
    icon: 'bucket',
    needs: ['buckets:read'],
    partly: true,
  },
  {
    name: 'bucket',
    path: '/buckets/:name',
    title: (args) => args['name'] ?? '',
    load: () => import('./pages/BucketPage.svelte'),
    under: 'buckets',
    needs: ['objects:read', 'buckets:read'],
    partly: true,
  },
  {
    name: 'jobs',
    path: '/jobs',
    title: 'jobs.title',
    load: () => import('./pages/JobsPage.svelte'),
    section: 'platform',
    icon: 'jobs',
    needs: ['jobs:read'],
    partly: true,
  },
  {
    name: 'job',
    path: '/jobs/:id',
    title: 'jobs.title',
    load: () => import('./pages/JobPage.svelte'),
    under: 'jobs',
    needs: ['jobs:read'],
    partly: true,
  },
  {
    name: 'costs',
    path: '/costs',
    title: 'costs.title',
    load: () => import('./pages/CostsPage.svelte'),
    section: 'platform',
    icon: 'coins',
    needs: ['costs:read', 'usage:read', 'prices:write'],
  },
  {
    name: 'quotas',
    path: '/quotas',
    title: 'quotas.title',
    load: () => import('./pages/QuotasPage.svelte'),
    section: 'platform',
    icon: 'gauge',
    needs: ['quotas:read', 'quotas:write'],
  },
  {
    name: 'system',
    path: '/system',
    title: 'system.title',
    load: () => import('./pages/SystemPage.svelte'),
    section: 'platform',
    icon: 'server',
    needs: ['system:read'],
  },
]

export const MISSING: PageEntry = {
  name: 'missing',
  path: '',
  title: 'missing.title',
  load: () => import('./pages/NotFoundPage.svelte'),
}

export const titleOf = (page: PageEntry, args: Record<string, string> = {}): string =>
  typeof page.title === 'string' ? t(page.title) : page.title(args)

/** Whether whoever is signed in may use a page. */
export const allowed = (page: PageEntry): boolean =>
  !page.needs ||
  page.needs.some((action) => (page.partly ? session.maySomewhere(action) : session.may(action)))

/** The pages of one part of the navigation that are allowed, in order. */
export const pagesOf = (section: Section): PageEntry[] =>
  PAGES.filter((page) => page.section === section && allowed(page))

/** Where somebody begins who may not see the map. */
export const firstPage = (): PageEntry | undefined =>
  SECTIONS.flatMap(pagesOf)[0] ?? PAGES.find((page) => page.menu)
