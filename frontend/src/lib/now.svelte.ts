import { createSubscriber } from 'svelte/reactivity'

const EVERY_MS = 1000
const subscribe = createSubscriber((update) => {
  const timer = setInterval(() => document.hidden || update(), EVERY_MS)
  return () => clearInterval(timer)
})

/** Unix ms; whoever reads it in an effect or a template reads it anew every second. */
export function now(): number {
  subscribe()
  return Date.now()
}
