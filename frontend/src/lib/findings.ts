// Findings of a check, shown in an editor: the line is marked, what is wrong stands below it.
import { StateEffect, StateField, type Range } from '@codemirror/state'
import {
  Decoration,
  EditorView,
  gutterLineClass,
  GutterMarker,
  WidgetType,
  type DecorationSet,
} from '@codemirror/view'
import { RangeSet } from '@codemirror/state'
import type { Finding } from './types'

class Told extends WidgetType {
  constructor(readonly text: string) {
    super()
  }
  override eq(other: Told): boolean {
    return other.text === this.text
  }
  toDOM(): HTMLElement {
    const shown = document.createElement('div')
    shown.className = 'cm-told'
    shown.dataset['testid'] = 'finding-at-line'
    shown.textContent = this.text
    return shown
  }
}

class Wrong extends GutterMarker {
  override elementClass = 'cm-wrong-number'
}
const wrong = new Wrong()
const found = StateEffect.define<readonly Finding[]>()

const field = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(shown, change) {
    const told = change.effects.find((effect) => effect.is(found))
    if (!told) return shown.map(change.changes)
    const { doc } = change.state
    const ranges: Range<Decoration>[] = []
    for (const one of told.value as readonly Finding[]) {
      const line = doc.line(Math.max(1, Math.min(doc.lines, one.line)))
      ranges.push(Decoration.line({ class: 'cm-wrong' }).range(line.from))
      const widget = new Told(one.node ? `${one.node}: ${one.text}` : one.text)
      ranges.push(Decoration.widget({ widget, block: true, side: 1 }).range(line.to))
    }
    return Decoration.set(ranges, true)
  },
  provide: (self) => EditorView.decorations.from(self),
})

const numbers = gutterLineClass.compute([field], (state) => {
  const lines = new Set<number>()
  state.field(field).between(0, state.doc.length, (from) => {
    lines.add(state.doc.lineAt(from).from)
  })
  return RangeSet.of([...lines].map((from) => wrong.range(from)))
})

const look = EditorView.theme({
  '.cm-wrong': { backgroundColor: 'var(--bad-soft)' },
  '.cm-wrong-number': { color: 'var(--bad)', fontWeight: '700' },
  '.cm-told': {
    padding: '2px 10px 3px',
    borderLeft: '3px solid var(--bad)',
    backgroundColor: 'var(--bad-soft)',
    color: 'var(--bad)',
    fontFamily: 'var(--font)',
    fontSize: '12px',
    whiteSpace: 'normal',
  },
})

export const findings = [field, numbers, look]

/** Show these and no others; lines begin at 1. */
export function showFindings(view: EditorView | undefined, told: readonly Finding[]): void {
  view?.dispatch({ effects: found.of(told) })
}
