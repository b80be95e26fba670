// Small preferences kept in the browser. Storage may be blocked; the console then forgets, and works.

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(`carcloud.${key}`)
  } catch {
    return null
  }
}

export function remember(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`carcloud.${key}`)
    else localStorage.setItem(`carcloud.${key}`, value)
  } catch {
    // blocked or full: nothing to keep
  }
}
