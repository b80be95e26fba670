import { recall, remember } from '../lib/remembered'
import { en } from './en'
import { zh } from './zh'

export type Key = keyof typeof en
export type Messages = Record<Key, string>
export type Language = 'en' | 'zh'

const CATALOGUES: Record<Language, Messages> = { en, zh }

/** The language that the browser's list asks for first among those we speak. */
export function preferred(languages: readonly string[]): Language {
  for (const language of languages) {
    if (language.toLowerCase().startsWith('zh')) return 'zh'
    if (language.toLowerCase().startsWith('en')) return 'en'
  }
  return 'en'
}

const HOLE = /\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g

/** `{name}` is the argument; `{name:row|rows}` the first word where it is 1, else the second. */
export function fill(text: string, args: Record<string, string | number> = {}): string {
  return text.replace(HOLE, (hole, name: string, one?: string, more?: string) => {
    if (one === undefined) return String(args[name] ?? hole)
    return String(args[name]) === '1' ? one : (more ?? '')
  })
}

class Speech {
  language = $state<Language>('en')
  locale = $derived(this.language === 'zh' ? 'zh-CN' : 'en')

  start(): void {
    const saved = recall('language')
    this.use(saved === 'en' || saved === 'zh' ? saved : preferred(navigator.languages), false)
  }

  use(language: Language, keep = true): void {
    this.language = language
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en'
    if (keep) remember('language', language)
  }
}

export const speech = new Speech()

export function t(key: Key, args?: Record<string, string | number>): string {
  return fill(CATALOGUES[speech.language][key], args)
}

/** A message whose key is made at run time; `fallback` when there is none. */
export function lookup(key: string, fallback: string): string {
  return (CATALOGUES[speech.language] as Record<string, string>)[key] ?? fallback
}
