import { recall, remember } from './remembered'

const ROOMY = '(min-width: 1200px)'

/** Whether the navigation shows names or icons only: as chosen, else as the window has room. */
class Rail {
  #roomy = $state(true)
  #choice = $state<boolean | null>(null)
  wide = $derived(this.#choice ?? this.#roomy)

  start(): () => void {
    const saved = recall('rail')
    if (saved) this.#choice = saved === 'wide'
    const roomy = matchMedia(ROOMY)
    const read = (): void => void (this.#roomy = roomy.matches)
    read()
    roomy.addEventListener('change', read)
    return () => roomy.removeEventListener('change', read)
  }

  toggle(): void {
    this.#choice = !this.wide
    remember('rail', this.#choice ? 'wide' : 'narrow')
  }
}

export const rail = new Rail()
