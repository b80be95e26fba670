/** What a colour says: all well, look here, broken, chosen, nothing in particular. */
export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'accent'
