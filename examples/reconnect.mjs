// Whether and when to come back, for whatever runs sockets or threads.
import { DisconnectReason } from 'baileys'

/** With these, coming back is of no use, or does harm: two that replace each other would go on for ever. */
const FINAL = new Map([
  [DisconnectReason.loggedOut, 'logged out: drop the account and link it again'],
  [DisconnectReason.connectionReplaced, 'replaced: another process or thread runs this account'],
  [DisconnectReason.forbidden, 'forbidden: the account is banned or restricted'],
])

/** Why a socket that has closed is not to be made again; nothing where it is. */
export const whyFinal = lastDisconnect => FINAL.get(lastDisconnect?.error?.output?.statusCode)

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 60_000
/** What has run for so long was no failed attempt. */
const STEADY_MS = 10_000

/**
 * Does something again each time that `again` is called: at once, and then after pauses that grow as long as it never runs for long. `stop` ends that.
 * @param {() => void} run
 */
export function makeRetries(run) {
  let failures = 0
  let since = performance.now()
  let timer
  const start = () => {
    since = performance.now()
    run()
  }
  return {
    start,
    again() {
      if (performance.now() - since > STEADY_MS) failures = 0
      const pause = failures === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS)
      failures++
      // By chance, so that not all come at once.
      timer = setTimeout(start, pause * (0.5 + Math.random() / 2))
    },
    stop: () => clearTimeout(timer),
  }
}
