import assert from 'node:assert/strict'
import { gate } from './gate.mjs'

/**
 * A transaction that does `before`, stands still, and does `after` once it is let go. `begin` is handed its work:
 * `work => keys.transaction(work, 'label')`.
 */
export function standing(begin, before = () => {}, after = () => {}) {
  const [entered, leave] = [gate(), gate()]
  const ended = begin(async tx => {
    await before(tx)
    entered.open()
    await leave.opened
    return after(tx)
  })
  ended.catch(() => {})
  return {
    /** It has done `before`; fails where it ended without. */
    entered: Promise.race([entered.opened, ended]),
    leave: leave.open,
    ended,
    /** Lets it go and waits for its end. */
    end: async () => {
      leave.open()
      return ended
    },
  }
}

/** Work of a transaction: reads a session, or writes one. */
export const read = id => tx => tx.get('session', [id])
export const write = (id, value = 'x') => tx => tx.set({ session: { [id]: value } })

const nameOf = ({ kind, label, type, id }) => [kind, label, type, id].filter(part => part !== undefined).join(' ')

/** What is held: `record session a exclusive`, sorted; one line for each holder. */
export const heldIn = cask => cask.locks().flatMap(lock => lock.holders.map(({ mode }) => `${nameOf(lock)} ${mode}`)).sort()

/** What is waited for, in the same words. */
export const waitedForIn = cask => cask.locks().flatMap(lock => lock.waiters.map(({ mode }) => `${nameOf(lock)} ${mode}`)).sort()

/** The error code with which a promise is refused, or 'ended'. */
export const codeOf = promise => promise.then(() => 'ended', error => error.code ?? String(error))

/** Runs a transaction until it is no deadlock's victim any more; gives how often it was one. */
export async function retried(begin, most = 1000) {
  for (let failures = 0; ; failures++) {
    try {
      await begin()
      return failures
    } catch (error) {
      if (error.code !== 'ERR_CASK_DEADLOCK') throw error
      assert.ok(failures < most, 'no end of deadlocks')
    }
  }
}
