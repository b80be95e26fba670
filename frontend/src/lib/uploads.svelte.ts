// Files on their way into a bucket: some at a time, each with its progress and a way to stop it.
import { ApiProblem, readProblem } from './http'
import { objectUrl } from './buckets'

export type UploadState = 'waiting' | 'sending' | 'done' | 'failed' | 'cancelled'

const AT_ONCE = 2

export class Upload {
  state = $state<UploadState>('waiting')
  sent = $state(0)
  problem = $state.raw<ApiProblem | null>(null)
  request: XMLHttpRequest | null = null

  constructor(
    readonly id: number,
    readonly key: string,
    readonly file: File,
  ) {}

  get open(): boolean {
    return this.state === 'waiting' || this.state === 'sending'
  }
}

export class Uploads {
  all = $state.raw<Upload[]>([])
  #next = 1

  constructor(
    readonly bucket: string,
    /** told whenever an object has been kept */
    readonly onkept: () => void,
  ) {}

  get open(): number {
    return this.all.filter((one) => one.open).length
  }

  add(files: readonly { key: string; file: File }[]): void {
    const more = files.map(({ key, file }) => new Upload(this.#next++, key, file))
    this.all = [...this.all, ...more]
    this.#begin()
  }

  cancel(one: Upload): void {
    if (!one.open) return
    one.state = 'cancelled'
    one.request?.abort()
    this.#begin()
  }

  again(one: Upload): void {
    this.all = this.all.filter((other) => other !== one)
    this.add([one])
  }

  clear(): void {
    this.all = this.all.filter((one) => one.open)
  }

  #begin(): void {
    const sending = this.all.filter((one) => one.state === 'sending').length
    const waiting = this.all.filter((one) => one.state === 'waiting')
    for (const one of waiting.slice(0, Math.max(0, AT_ONCE - sending))) this.#send(one)
  }

  #send(one: Upload): void {
    // fetch tells no progress of what it sends
    const request = (one.request = new XMLHttpRequest())
    one.state = 'sending'
    one.sent = 0
    request.upload.onprogress = (event) => (one.sent = event.loaded)
    request.onload = () => void this.#answered(one, request)
    request.onerror = () => this.#end(one, 'failed', new ApiProblem(0, 'network', ''))
    request.open('PUT', objectUrl(this.bucket, one.key))
    request.setRequestHeader('Content-Type', one.file.type || 'application/octet-stream')
    request.setRequestHeader('Accept', 'application/json, application/problem+json')
    request.send(one.file)
  }

  async #answered(one: Upload, request: XMLHttpRequest): Promise<void> {
    if (request.status >= 200 && request.status < 300) {
      one.sent = one.file.size
      this.#end(one, 'done', null)
      this.onkept()
      return
    }
    const told = new Response(request.responseText, { status: request.status })
    this.#end(one, 'failed', await readProblem(told))
  }

  #end(one: Upload, state: UploadState, problem: ApiProblem | null): void {
    one.state = state
    one.problem = problem
    one.request = null
    this.#begin()
  }
}

/** Files of a drop, those inside dropped folders too, with their paths. */
export async function droppedFiles(data: DataTransfer): Promise<{ path: string; file: File }[]> {
  const entries = [...data.items].flatMap((item) => item.webkitGetAsEntry() ?? [])
  if (entries.length === 0) return [...data.files].map((file) => ({ path: file.name, file }))
  const found: { path: string; file: File }[] = []
  for (const entry of entries) await gather(entry, '', found)
  return found
}

async function gather(
  entry: FileSystemEntry,
  above: string,
  found: { path: string; file: File }[],
): Promise<void> {
  const path = above + entry.name
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) =>
      (entry as FileSystemFileEntry).file(done, failed),
    )
    found.push({ path, file })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, failed) =>
      reader.readEntries(done, failed),
    )
    if (some.length === 0) return // a reader gives a hundred at a time
    for (const one of some) await gather(one, `${path}/`, found)
  }
}
