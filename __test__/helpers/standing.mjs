import { AsyncResource } from 'node:async_hooks'
import { afterwards } from './cleanup.mjs'
import { gate } from './gate.mjs'

/**
 * A transaction that stands still inside its work until it is let go, at the end of the test at the latest. `begin` is given the
 * work; `first` runs at its beginning. `inside` makes calls in its async context.
 */
export async function standing(t, begin, first = async () => {}) {
  const [entered, left] = [gate(), gate()]
  const held = { leave: left.open }
  held.ended = begin(async tx => {
    const context = new AsyncResource('standing')
    held.tx = tx
    held.inside = call => context.runInAsyncScope(call)
    await first(tx)
    entered.open()
    await left.opened
    return 'left'
  })
  held.ended.catch(() => {})
  afterwards(t, left.open)
  await Promise.race([entered.opened, held.ended])
  return held
}

/** How a promise has ended: `{ value }` or `{ error }`. */
export function outcome(promise) {
  return promise.then(value => ({ value }), error => ({ error }))
}

/** What doomed a transaction, as one of its later calls tells it: itself, or as the cause of a refusal that is not to be retried. */
export function reasonOf(error) {
  if (error.retryable) throw new Error('a call of a doomed transaction would be retried for ever', { cause: error })
  return error.cause?.code === error.code ? error.cause : error
}
