// Every page of the console: its path, its place in the navigation, its own chunk of code.
import type { Component } from 'svelte'
import { t, type Key } from './i18n/index.svelte'
import type { IconName } from './lib/icons'

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
  /** the page that the navigation marks while this one is open */
  under?: string
}

export const PAGES: readonly PageEntry[] = [
  {
    name: 'map',
    path: '/',
    title: 'nav.map',
    load: () => import('./pages/MapPage.svelte'),
    section: 'fleet',
    icon: 'map',
  },
  {
    name: 'vehicles',
    path: '/vehicles',
    title: 'nav.vehicles',
    load: () => import('./pages/VehiclesPage.svelte'),
    section: 'fleet',
    icon: 'car',
  },
  {
    name: 'vehicle',
    path: '/vehicles/:id',
    title: (args) => args['id'] ?? '',
    load: () => import('./pages/VehiclePage.svelte'),
    under: 'vehicles',
  },
  {
    name: 'models',
    path: '/models',
    title: 'models.title',
    load: () => import('./pages/ModelsPage.svelte'),
    section: 'fleet',
    icon: 'list',
  },
  {
    name: 'sql',
    path: '/sql',
    title: 'nav.sql',
    load: () => import('./pages/SqlPage.svelte'),
    section: 'data',
    icon: 'sql',
  },
  {
    name: 'dead-letters',
    path: '/dead-letters',
    title: 'nav.deadLetters',
    load: () => import('./pages/DeadLettersPage.svelte'),
    section: 'data',
    icon: 'dead',
  },
  {
    name: 'forwarding',
    path: '/forwarding',
    title: 'nav.forwarding',
    load: () => import('./pages/ForwardingPage.svelte'),
    section: 'data',
    icon: 'forward',
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

/** The pages of one part of the navigation, in order. */
export const pagesOf = (section: Section): PageEntry[] =>
  PAGES.filter((page) => page.section === section)
