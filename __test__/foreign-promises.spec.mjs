import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { open } from './helpers/casks.mjs'
import { within } from './helpers/gate.mjs'

/** So many transactions later the core gives another one the same number. */
const UNTIL_USED_AGAIN = 2048

/** A promise that hands out what it was told to call. */
function telling(value) {
  const told = {}
  class Telling extends Promise {
    then(ok, fail) {
      Object.assign(told, { ok, fail })
      return super.then(ok, fail)
    }
  }
  const own = Promise.resolve(value)
  own.then = function (ok, fail) {
    Object.assign(told, { ok, fail })
    return Promise.prototype.then.call(this, ok, fail)
  }
  return { told, subclass: () => Telling.resolve(value), own: () => own }
}

describe('of what work returns, only the first answer counts', () => {
  for (const how of ['subclass', 'own']) {
    test(`where a promise with a then of its own answers again: ${how}`, async t => {
      const cask = await open(t)
      const { keys } = cask.account()
      const { told, [how]: promise } = telling('value')
      assert.equal(await keys.transaction(promise), 'value')
      for (let i = 1; i < UNTIL_USED_AGAIN; i++) keys.transaction(() => {})
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        told.fail?.(new Error('again'))
        told.ok?.('again')
        await tx.set({ session: { b: 2 } })
      })
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 1, b: 2 })
    })
  }

  test('a promise that begins its work when it is waited for is waited for', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    class Lazy extends Promise {
      then(...told) {
        return Promise.resolve('begun').then(...told)
      }
    }
    assert.equal(await within(10_000, 'the end', keys.transaction(() => new Lazy(() => {}))), 'begun')
  })

  test('what only looks like a promise of this realm is refused, and nothing hangs', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    await assert.rejects(within(10_000, 'the end', keys.transaction(() => Object.create(Promise.prototype))), TypeError)
  })
})
