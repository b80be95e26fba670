// What signed in, from the text that browsers and programs send of themselves.

const BROWSERS: [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/Chrome\//, 'Chrome'], // most others claim to be it too, and were looked for before
  [/Safari\//, 'Safari'],
]
const SYSTEMS: [RegExp, string][] = [
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/Linux/, 'Linux'],
]
const among = (list: [RegExp, string][], agent: string): string | undefined =>
  list.find(([sign]) => sign.test(agent))?.[1]

/** `Firefox · Windows` for a browser, `carcloud/1.2` for a program; empty for nothing. */
export function agentName(agent: string): string {
  const browser = among(BROWSERS, agent)
  if (!browser) return agent.split(' ')[0] ?? ''
  return [browser, among(SYSTEMS, agent)].filter(Boolean).join(' · ')
}
