// The language of conditions in the editor: its colours, and what it completes.
import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
} from '@codemirror/autocomplete'
import { StreamLanguage, type StreamParser } from '@codemirror/language'
import type { Extension } from '@codemirror/state'
import { api } from './api'
import { ApiProblem } from './http'
import { unitName } from './signals'
import type { CatalogueSignal } from './types'

const WINDOWS = ['MIN', 'MAX', 'AVG'].flatMap((one) => [
  `LAST_WINDOW_${one}`,
  `PREV_LAST_WINDOW_${one}`,
])
const NUMERIC = ['abs', 'min', 'max', 'pow', 'log', 'ceil', 'floor']
export const FUNCTIONS = ['isNull', ...WINDOWS, ...NUMERIC, 'MULTI_RISING_EDGE_TRIGGER']
const WORDS = new Set(['true', 'false'])
const MOST = 30

const tokens: StreamParser<null> = {
  startState: () => null,
  token(stream) {
    if (stream.eatSpace()) return null
    if (stream.match(/^'[^']*'?|^"[^"]*"?/)) return 'string'
    if (stream.match(/^\d+(\.\d+)?([eE][+-]?\d+)?/)) return 'number'
    if (stream.match(/^\$variable\.`[^`]*`?/)) return 'variableName'
    if (stream.match(/^[A-Za-z_][\w.]*/)) {
      const word = stream.current()
      if (WORDS.has(word)) return 'bool'
      if (word === 'within') return 'keyword'
      return FUNCTIONS.includes(word) ? 'keyword' : 'variableName'
    }
    if (stream.match(/^(&&|\|\||[<>=!]=|[<>!+\-*/])/)) return 'operator'
    stream.next()
    return null
  },
}

const detailOf = (one: CatalogueSignal): string =>
  [one.datatype, unitName(one.unit)].filter(Boolean).join(' ')

/** Signals of the catalogue that a beginning or a word of the path finds, reported ones first. */
export async function findSignals(text: string, stop: AbortSignal): Promise<CatalogueSignal[]> {
  const by = text.startsWith('Vehicle.') ? { prefix: text } : { q: text }
  const found = (await api.signals({ ...by, limit: MOST }, stop)).items
  return [...found].sort((a, b) => Number(b.vehicles > 0) - Number(a.vehicles > 0))
}

async function paths(text: string, stop: AbortSignal): Promise<Completion[]> {
  const found = await findSignals(text, stop)
  return found.map((one) => ({ label: one.path, detail: detailOf(one), type: 'property' }))
}

/** The values that a signal before `==` or `!=` can have. */
async function values(path: string): Promise<Completion[]> {
  return (await api.signal(path)).signal.allowed.map((label) => ({ label, type: 'enum' }))
}

export async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const gone = new AbortController()
  context.addEventListener('abort', () => gone.abort())
  const inQuotes = context.matchBefore(/[\w.]+\s*(?:==|!=)\s*['"][^'"]*/)
  const word = context.matchBefore(/[\w.]+/)
  try {
    if (inQuotes) {
      const path = /^[\w.]+/.exec(inQuotes.text)?.[0] ?? ''
      const quote = Math.max(inQuotes.text.lastIndexOf("'"), inQuotes.text.lastIndexOf('"'))
      return { from: inQuotes.from + quote + 1, options: await values(path), validFor: /^[^'"]*$/ }
    }
    if ((!word || /^\d/.test(word.text)) && !context.explicit) return null
    const text = word?.text ?? ''
    const functions = FUNCTIONS.filter((name) => name.toLowerCase().startsWith(text.toLowerCase()))
    const options: Completion[] = [
      ...(text ? functions : []).map((label) => ({ label, apply: `${label}(`, type: 'function' })),
      ...(await paths(text, gone.signal)),
    ]
    return { from: word?.from ?? context.pos, options, filter: false }
  } catch (reason) {
    if (reason instanceof ApiProblem || gone.signal.aborted) return null
    throw reason
  }
}

export const conditions = (): Extension[] => [
  StreamLanguage.define(tokens),
  autocompletion({ icons: false, override: [complete] }),
]
