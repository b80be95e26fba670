export type ToastTone = 'good' | 'bad' | 'plain'

export interface Toast {
  id: number
  text: string
  tone: ToastTone
}

const SHOWN_MS = 6000
const MOST = 4

/** Short notices of what has just been done, the newest last. */
class Toasts {
  all = $state.raw<Toast[]>([])
  #next = 1
  #held = false

  show(text: string, tone: ToastTone = 'good'): void {
    const toast = { id: this.#next++, text, tone }
    this.all = [...this.all, toast].slice(-MOST)
    this.#later(toast.id)
  }

  dismiss(id: number): void {
    this.all = this.all.filter((toast) => toast.id !== id)
  }

  /** While somebody points at the notices they stay. */
  hold(held: boolean): void {
    this.#held = held
  }

  #later(id: number): void {
    setTimeout(() => (this.#held ? this.#later(id) : this.dismiss(id)), SHOWN_MS)
  }
}

export const toasts = new Toasts()
