// Colours for YAML and JSON in an editor: keys, texts, numbers, words, remarks.
import { StreamLanguage } from '@codemirror/language'

const KEY = /(?:"[^"]*"|'[^']*'|[^\s#"'{}[\],:][^#{}[\],:]*)(?=\s*:(?:\s|$))/
const TEXT = /"(?:[^"\\]|\\.)*"?|'[^']*'?/
const NUMBER = /[-+]?(?:0x[\da-f]+|\d[\d_]*(?:\.\d*)?(?:e[-+]?\d+)?)(?=\s*(?:[,\]}#]|$))/i
const WORD = /(?:true|false|null|yes|no)(?=\s*(?:[,\]}#]|$))/

export const yaml = StreamLanguage.define({
  name: 'yaml',
  startState: () => null,
  token(stream) {
    if (stream.eatSpace()) return null
    if (stream.match(/#.*/)) return 'comment'
    if (stream.match(KEY)) return 'propertyName'
    if (stream.match(TEXT)) return 'string'
    if (stream.match(NUMBER)) return 'number'
    if (stream.match(WORD)) return 'bool'
    if (stream.match(/[{}[\],:]|-(?=\s)/)) return 'operator'
    stream.match(/[^{}[\],#]+/) || stream.next()
    return null
  },
  languageData: { commentTokens: { line: '#' } },
})
