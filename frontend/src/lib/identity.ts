// Calls about one's own identity: the second factor.
import { json } from './http'

export interface SecondFactor {
  on: boolean
  recovery_codes: number
}

export interface Enrolment {
  secret: string
  uri: string
  /** a picture of `uri`, as a data URL */
  qr: string
}

interface RecoveryCodes {
  recovery_codes: string[]
}

const SECOND = '/v1/session/second-factor'

export const identity = {
  secondFactor: () => json<SecondFactor>(SECOND),
  beginSecondFactor: (password: string) =>
    json<Enrolment>(SECOND, { method: 'POST', json: { password } }),
  confirmSecondFactor: (code: string) =>
    json<RecoveryCodes>(SECOND, { method: 'PUT', json: { code } }),
  renewRecoveryCodes: (code: string) =>
    json<RecoveryCodes>(`${SECOND}/recovery-codes`, { method: 'POST', json: { code } }),
  turnSecondFactorOff: (code: string) =>
    json<void>(`${SECOND}/off`, { method: 'POST', json: { code } }),
}
