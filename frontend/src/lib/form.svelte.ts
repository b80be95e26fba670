import { getContext, setContext } from 'svelte'
import type { ApiProblem } from './http'

const KEY = Symbol('form')

/** What a form and its fields share: the refusal in force, and which fields show their own part. */
export class FormState {
  problem = $state.raw<ApiProblem | null>(null)
  #placed: string[] = $state.raw([])

  /** Errors of fields that the form does not have. */
  rest = $derived(this.problem?.errors.filter((error) => !this.#has(error.field)) ?? [])
  /** Whether every word of the refusal stands at a field. */
  placed = $derived((this.problem?.errors.length ?? 0) > 0 && this.rest.length === 0)

  #has(field: string): boolean {
    return this.#placed.some((name) => field === name || field.startsWith(`${name}.`))
  }

  /** A field of this name is shown; the answer takes it away again. */
  place(name: string): () => void {
    this.#placed = [...this.#placed, name]
    return () => (this.#placed = this.#placed.filter((one) => one !== name))
  }

  static give(): FormState {
    return setContext(KEY, new FormState())
  }

  static of(): FormState | undefined {
    return getContext<FormState | undefined>(KEY)
  }
}
