import { recall, remember } from './remembered'

export type Theme = 'light' | 'dark'
type Choice = Theme | 'system'

/** The theme in force: the remembered choice, else the system's. */
class ThemeState {
  choice = $state<Choice>('system')
  #system = $state<Theme>('light')
  current = $derived(this.choice === 'system' ? this.#system : this.choice)

  start(): void {
    const saved = recall('theme')
    if (saved === 'light' || saved === 'dark') this.choice = saved
    const dark = matchMedia('(prefers-color-scheme: dark)')
    this.#system = dark.matches ? 'dark' : 'light'
    dark.addEventListener('change', () => (this.#system = dark.matches ? 'dark' : 'light'))
  }

  toggle(): void {
    this.choice = this.current === 'dark' ? 'light' : 'dark'
    remember('theme', this.choice)
    document.documentElement.dataset.theme = this.choice
  }
}

export const theme = new ThemeState()

export const reducedMotion = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches
