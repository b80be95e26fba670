/** Bytes of a hex text; anything that is no pair of hex digits ends it. */
export function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(hex.length >> 1)
  for (let i = 0; i < out.length; i++) {
    const byte = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
    if (Number.isNaN(byte)) return out.slice(0, i)
    out[i] = byte
  }
  return out
}

export const hexByte = (byte: number): string => byte.toString(16).padStart(2, '0')

export const printable = (byte: number): string =>
  byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '·'

/** So many random bytes as hexadecimal text. */
export function randomHex(bytes: number): string {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes))
  return Array.from(drawn, hexByte).join('')
}
