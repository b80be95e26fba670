// Letters and digits that are not taken for one another when somebody reads them out.
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789'

/** Random text of `length` characters, about 5.8 bits each. */
export function makeSecret(length: number): string {
  const limit = 256 - (256 % LETTERS.length) // beyond it some letters would come more often
  let text = ''
  while (text.length < length)
    for (const byte of crypto.getRandomValues(new Uint8Array(length)))
      if (byte < limit && text.length < length) text += LETTERS[byte % LETTERS.length]
  return text
}
