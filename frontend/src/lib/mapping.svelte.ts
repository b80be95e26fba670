// The mapping of a model: what holds, what somebody makes of it, its DBC files, and the overlay that
// a suggested one needs.
import { api } from './api'
import { mappings, type DbcTexts, type MappingEffect, type MappingVersion, type ModelMapping } from './mappings'
import { VersionedText } from './versioned.svelte'

/** An overlay that is saved together with the mapping. */
export interface Proposed {
  text: string
  etag: string | null
  /** signals that it adds to those that there are */
  added: string[]
}
interface Besides {
  dbc: DbcTexts
  proposed: Proposed | null
}

export class MappingState extends VersionedText<ModelMapping, MappingVersion, MappingEffect> {
  /** files that the version that holds has not, or has with another text */
  dbc = $state.raw<DbcTexts>({})
  proposed = $state.raw<Proposed | null>(null)
  /** signals of the files that no mapping can name */
  leftOut = $state.raw<string[]>([])
  suggesting = $state(false)
  protected readonly name: string

  constructor(readonly model: string) {
    super()
    this.name = `mapping/${model}`
  }

  protected override extra(): boolean {
    return Object.keys(this.dbc).length > 0
  }
  protected override replacing(): boolean {
    return this.suggesting
  }
  protected override besides(): Besides {
    return { dbc: this.dbc, proposed: this.proposed }
  }
  protected override restore(kept: object): void {
    const { dbc, proposed } = kept as Besides
    this.dbc = dbc
    this.proposed = proposed
  }
  protected override forget(): void {
    this.dbc = {}
    this.proposed = null
    this.leftOut = []
  }

  protected read() {
    return mappings.get(this.model)
  }
  protected list(cursor: string | null) {
    return mappings.versions(this.model, cursor)
  }
  protected one(version: number) {
    return mappings.version(this.model, version)
  }
  protected ask(text: string) {
    return mappings.check(this.model, text, this.dbc, this.proposed?.text ?? null)
  }
  /** The overlay first: without it the mapping would be refused. */
  protected async write(text: string, note: string, etag: string | null) {
    if (this.proposed) {
      const why = note || Object.keys(this.dbc).join(', ').slice(0, 200)
      await api.saveOverlay(this.proposed.text, why, this.proposed.etag)
      this.proposed = null
    }
    return mappings.save(this.model, text, this.dbc, note, etag)
  }

  addFiles = (files: DbcTexts): void => {
    this.dbc = { ...this.dbc, ...files }
    this.put(this.text)
  }
  removeFile = (name: string): void => {
    const { [name]: _, ...others } = this.dbc
    this.dbc = others
    this.put(this.text)
  }

  /** A mapping of the new files in place of the text, and the overlay that it needs. */
  suggest = (): Promise<void> =>
    this.attempt(async () => {
      this.suggesting = true
      try {
        const text = await this.#propose()
        this.put(text)
      } finally {
        this.suggesting = false
      }
    })

  /** What holds now, where somebody saved a mapping or an overlay since; the text stays. */
  readAnew = async (): Promise<void> => {
    await this.load()
    if (this.proposed && !this.problem) await this.attempt(async () => void (await this.#propose()))
  }

  async #propose(): Promise<string> {
    const held = await api.overlay() // before the suggestion, which builds on it
    const found = await mappings.suggest(this.model, this.dbc)
    this.leftOut = found.left_out
    this.proposed = null
    if (found.overlay !== held.value.text) {
      const known = new Set(held.value.added)
      const { added } = await api.checkOverlay(found.overlay)
      const own = added.filter((path) => !known.has(path))
      this.proposed = { text: found.overlay, etag: held.etag, added: own }
    }
    return found.mapping
  }
}
