/** Keeps an older answer from replacing a newer one. Each call gives a question its turn; what it
 * returns is called with the answer, and is false where a question asked later has been answered.
 * An answer counts although another question is out: where answers take longer than it is asked
 * again, none would count else.
 */
export function turns(): () => () => boolean {
  let asked = 0
  let answered = 0
  return () => {
    const mine = ++asked
    return () => {
      if (mine < answered) return false
      answered = mine
      return true
    }
  }
}
