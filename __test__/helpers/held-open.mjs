import assert from 'node:assert/strict'
import { AsyncResource } from 'node:async_hooks'
import { afterwards } from './cleanup.mjs'
import { standing } from './locks.mjs'

/**
 * A transaction that stands still inside its work until it is let go, at the end of the test at the latest; what there is when it
 * stands. `begin` is given the work; `first` runs at its beginning. `inside` makes calls in its async context.
 */
export async function heldOpen(t, begin, first = async () => {}) {
  let [transaction, context] = []
  const { entered, leave, ended } = standing(begin, tx => {
    transaction = tx
    context = new AsyncResource('held open')
    return first(tx)
  }, () => 'left')
  afterwards(t, leave)
  await entered
  return { leave, ended, tx: transaction, inside: call => context.runInAsyncScope(call) }
}

/** Two of those, one inside the other, of which the inner one was doomed: its work goes on all the same. */
export async function doomedInside(t, outerKeys, innerKeys) {
  const outer = await heldOpen(t, work => outerKeys.transaction(work))
  const controller = new AbortController()
  const inner = await heldOpen(t, work => outer.inside(() => innerKeys.transaction(work, 'inner', { signal: controller.signal })))
  controller.abort()
  await assert.rejects(inner.ended, { code: 'ERR_CASK_ABORTED' })
  return { outer, inner }
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
