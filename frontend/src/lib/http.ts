// The one HTTP client: JSON in and out, entity tags for edits, problem details (RFC 9457) as errors.

export interface FieldError {
  field: string
  detail: string
}

/** A refusal by the server, or by the network (status 0). */
export class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: readonly FieldError[] = [],
    /** what kind of problem, such as `denied`; empty for one without a name */
    readonly code = '',
  ) {
    super(detail || title)
  }

  /** What the console itself finds wrong with one field, before it asks the server. */
  static invalid(field: string, detail: string): ApiProblem {
    return new ApiProblem(400, '', '', [{ field, detail }])
  }

  /** The message for one form field, if the server named it. */
  field(name: string): string | undefined {
    return this.errors.find((error) => error.field === name || error.field.startsWith(`${name}.`))
      ?.detail
  }
}

/** A resource with the entity tag that the next edit must send back. */
export interface Tagged<V> {
  value: V
  etag: string | null
}

export type Query = Record<string, string | number | boolean | null | undefined>

export interface Call {
  method?: string
  query?: Query
  json?: unknown
  text?: string
  contentType?: string
  accept?: string
  ifMatch?: string | null
  range?: string
  signal?: AbortSignal
}

let whenSignedOut = (): void => {}

/** Called whenever the server says that the session is gone. */
export function onSignedOut(callback: () => void): void {
  whenSignedOut = callback
}

let whenUnproved = (): void => {}

/** Called whenever the server says that a second factor must be set up first. */
export function onUnproved(callback: () => void): void {
  whenUnproved = callback
}

export function withQuery(path: string, query: Query = {}): string {
  const args = new URLSearchParams()
  for (const [key, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== '') args.set(key, String(value))
  const text = args.toString()
  return text ? `${path}?${text}` : path
}

const CODES = 'urn:carcloud:problem:'

export async function readProblem(response: Response): Promise<ApiProblem> {
  try {
    const body = (await response.json()) as Partial<ApiProblem> & {
      errors?: FieldError[]
      type?: string
    }
    return new ApiProblem(
      response.status,
      body.title ?? response.statusText,
      body.detail ?? '',
      Array.isArray(body.errors) ? body.errors : [],
      body.type?.startsWith(CODES) ? body.type.slice(CODES.length) : '',
    )
  } catch {
    return new ApiProblem(response.status, response.statusText || `HTTP ${response.status}`, '')
  }
}

/** What comes over the network, which may break off: before an answer, or in the middle of its body. */
export async function overNetwork<V>(coming: Promise<V>): Promise<V> {
  try {
    return await coming
  } catch (reason) {
    if (reason instanceof TypeError) throw new ApiProblem(0, 'network', '')
    throw reason // it was aborted, or is not what it calls itself
  }
}

export async function send(path: string, call: Call): Promise<Response> {
  const headers: Record<string, string> = {
    Accept: call.accept ?? 'application/json, application/problem+json',
  }
  let body: string | undefined = call.text
  if (call.json !== undefined) body = JSON.stringify(call.json)
  if (body !== undefined) headers['Content-Type'] = call.contentType ?? 'application/json'
  if (call.ifMatch) headers['If-Match'] = call.ifMatch
  if (call.range) headers['Range'] = call.range
  const response = await overNetwork(
    fetch(withQuery(path, call.query), {
      method: call.method ?? 'GET',
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body }),
      ...(call.signal ? { signal: call.signal } : {}),
    }),
  )
  if (response.ok) return response
  const problem = await readProblem(response)
  if (response.status === 401 && !path.startsWith('/v1/session')) whenSignedOut()
  if (problem.code === 'second-factor-missing') whenUnproved()
  throw problem
}

export async function json<V>(path: string, call: Call = {}): Promise<V> {
  const response = await send(path, call)
  return (response.status === 204 ? undefined : await overNetwork(response.json())) as V
}

export async function tagged<V>(path: string, call: Call = {}): Promise<Tagged<V>> {
  const response = await send(path, call)
  return { value: (await overNetwork(response.json())) as V, etag: response.headers.get('ETag') }
}
