// Errors and attaching, from CommonJS. Compiled, never run.
import cask = require('baileys-cask')

declare const thrown: unknown
if (thrown instanceof cask.CaskError) {
  const code: cask.CaskErrorCode = thrown.code
  const retryable: boolean = thrown.retryable
  const path: string | undefined = thrown.path
  const pid: number | undefined = thrown.pid
  void [code, retryable, path, pid]
  if (thrown.code === 'ERR_CASK_LOCKED') void thrown.host
  // @ts-expect-error -- no such code
  if (thrown.code === 'ERR_CASK_UNKNOWN') void 0
  // @ts-expect-error -- read only
  thrown.code = 'ERR_CASK_IO'
}

/** Every code is handled: a code that is added must be added here. */
export function advice(code: cask.CaskErrorCode): string {
  switch (code) {
    case 'ERR_CASK_INVALID_ARGUMENT':
    case 'ERR_CASK_INTERNAL':
      return 'a fault in a program'
    case 'ERR_CASK_LOCKED':
    case 'ERR_CASK_LOCK_TIMEOUT':
    case 'ERR_CASK_DEADLOCK':
    case 'ERR_CASK_TRANSACTION_TIMEOUT':
    case 'ERR_CASK_IO':
      return 'try again'
    case 'ERR_CASK_CLOSED':
    case 'ERR_CASK_DETACHED':
    case 'ERR_CASK_POISONED':
    case 'ERR_CASK_DROPPED':
    case 'ERR_CASK_TRANSACTION_ENDED':
    case 'ERR_CASK_ABORTED':
      return 'take a new handle'
    case 'ERR_CASK_CORRUPT':
    case 'ERR_CASK_VERSION':
    case 'ERR_CASK_KEY':
    case 'ERR_CASK_CREDS_MISSING':
    case 'ERR_CASK_BAILEYS_MISSING':
    case 'ERR_CASK_ADDON':
      return 'look at the message'
    default: {
      const none: never = code
      return none
    }
  }
}

declare const ref: cask.Cask | string | null | undefined
export const attached: cask.Cask | undefined = cask.attachCask(ref)
declare const open: cask.Cask
export const itself: cask.Cask = cask.attachCask(open)
export const nothing: undefined = cask.attachCask(null)
// @ts-expect-error -- a cask, a path, a name or nothing
cask.attachCask(1)
// @ts-expect-error -- may be nothing
export const surely: cask.Cask = cask.attachCask(ref)
// @ts-expect-error -- casks are opened, not constructed
new cask.Cask()
