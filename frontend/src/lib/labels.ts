// Labels are edited as text: one `key=value` a line.
import type { Labels } from './types'

export class BadLabel extends Error {
  constructor(readonly line: string) {
    super(line)
  }
}

export const labelsToText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')

export function labelsFromText(text: string): Labels {
  const labels: Labels = {}
  for (const line of text.split('\n').map((one) => one.trim())) {
    if (!line) continue
    const at = line.indexOf('=')
    if (at < 1) throw new BadLabel(line)
    labels[line.slice(0, at).trim()] = line.slice(at + 1).trim()
  }
  return labels
}

/** A merge patch that turns `before` into `after`: removed keys become null. */
export function labelsPatch(before: Labels, after: Labels): Record<string, string | null> {
  const patch: Record<string, string | null> = {}
  for (const key of Object.keys(before)) if (!(key in after)) patch[key] = null
  for (const [key, value] of Object.entries(after)) if (before[key] !== value) patch[key] = value
  return patch
}
