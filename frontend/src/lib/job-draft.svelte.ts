// A job that is being filled in: its kind, its parameters, and how it is to run.
import { ApiProblem } from './http'
import { t } from '../i18n/index.svelte'
import type { Kind, NewJob } from './jobs'
import { BadJson, fieldsOf, paramsOf, type ParamField } from './schema'

const FIRST: Record<string, Record<string, unknown>> = {
  'query-export': { sql: 'SELECT vehicle, time, "Vehicle.Speed"\nFROM signals\nLIMIT 1000' },
  script: {
    source: `import json, os
from pathlib import Path

print("hello from", os.getcwd())
Path("/job/out/answer.json").write_text(json.dumps({"answer": 42}))
`,
  },
}

export class JobDraft {
  kind = $state('')
  fields = $state.raw<ParamField[]>([])
  held = $state<Record<string, string | boolean>>({})
  name = $state('')
  queue = $state('default')
  project = $state('main')
  priority = $state(5)
  retries = $state(0)
  timeout_s = $state(3600)
  cpus = $state(1)
  memory_mb = $state(512)
  after = $state('')

  constructor(readonly given: NewJob | null) {
    if (!given) return
    this.name = given.name ?? ''
    this.queue = given.queue ?? 'default'
    this.project = given.project ?? 'main'
    this.priority = given.priority ?? 5
    this.retries = given.retries ?? 0
    this.timeout_s = given.timeout_s ?? 3600
    this.cpus = given.cpus ?? 1
    this.memory_mb = given.memory_mb ?? 512
  }

  choose(kind: Kind): void {
    this.kind = kind.name
    const given = this.given?.kind === kind.name ? this.given.params : FIRST[kind.name]
    this.fields = fieldsOf(kind.params, given)
    this.held = Object.fromEntries(this.fields.map((field) => [field.name, field.start]))
  }

  /** What the API takes; raises ApiProblem for JSON that is none. */
  body(): NewJob {
    const after = this.after.split(/[\s,]+/).filter(Boolean)
    return {
      kind: this.kind,
      params: this.#params(),
      name: this.name.trim(),
      queue: this.queue.trim(),
      project: this.project.trim(),
      priority: this.priority,
      retries: this.retries,
      timeout_s: this.timeout_s,
      cpus: this.cpus,
      memory_mb: this.memory_mb,
      ...(after.length > 0 ? { after } : {}),
    }
  }

  #params(): Record<string, unknown> {
    try {
      return paramsOf(this.fields, this.held)
    } catch (reason) {
      if (!(reason instanceof BadJson)) throw reason
      throw ApiProblem.invalid(`params.${reason.field}`, t('jobs.badJson'))
    }
  }
}
