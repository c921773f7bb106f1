import { afterEach, beforeEach, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { open } from './helpers/casks.mjs'
import { isPending, until, within } from './helpers/gate.mjs'
import { published } from './helpers/reports.mjs'
import { standing } from './helpers/locks.mjs'

const SOON_MS = 10_000

/** What applications put in the place of V8's words for a stack. */
const OTHERS = {
  'gives the places themselves': (_, places) => places,
  'gives a number': () => 7,
  throws: () => {
    throw new Error('no words')
  },
}

for (const [what, prepare] of Object.entries(OTHERS)) {
  describe(`where Error.prepareStackTrace ${what}`, () => {
    let before
    beforeEach(() => {
      before = Error.prepareStackTrace
    })
    afterEach(() => {
      Error.prepareStackTrace = before
    })

    /** Runs with it, and without it again before anything is asserted. */
    async function replaced(work) {
      Error.prepareStackTrace = prepare
      try {
        return await work()
      } finally {
        Error.prepareStackTrace = before
      }
    }

    test('waits end as elsewhere, are reported as old and can be looked at', async t => {
      const heard = published(t)
      const cask = await open(t, { stallWarnMs: 20, lockTimeoutMs: 300, lockStacks: true })
      const { keys } = cask.account()
      const holder = standing(work => keys.transaction(work), tx => tx.set({ session: { a: 1 } }))
      await holder.entered
      const [ended, locks] = await replaced(async () => {
        const refused = Promise.allSettled([keys.set({ session: { a: 2 } }), keys.transaction(tx => tx.get('session', ['a']))])
        await until('the reports', () => heard.filter(({ on }) => on === 'stall').length === 3)
        return [cask.locks(), await within(SOON_MS, 'the end of the waits', refused)].reverse()
      })
      assert.deepEqual(ended.map(({ reason }) => reason?.code), ['ERR_CASK_LOCK_TIMEOUT', 'ERR_CASK_LOCK_TIMEOUT'])
      assert.equal(locks.length, 1)
      assert.equal(locks[0].waiters.length, 2)
      await holder.end()
    })

    test('a call that is refused at once rejects, and throws nothing', async t => {
      const cask = await open(t)
      const { keys } = cask.account()
      let refused
      await keys.transaction(async tx => {
        refused = () => tx.get('session', ['a'])
      })
      const error = await replaced(() => {
        const call = refused()
        return call.then(() => undefined, failure => failure)
      })
      assert.equal(error?.code, 'ERR_CASK_TRANSACTION_ENDED')
    })
  })
}

describe('where a stack cannot be taken', () => {
  const FAULTS = {
    'Error.captureStackTrace throws': () => {
      const before = Error.captureStackTrace
      Error.captureStackTrace = () => {
        throw new Error('no stack')
      }
      return () => (Error.captureStackTrace = before)
    },
    'Error.stackTraceLimit is frozen': () => {
      const before = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')
      Object.defineProperty(Error, 'stackTraceLimit', { ...before, writable: false })
      return () => Object.defineProperty(Error, 'stackTraceLimit', before)
    },
  }
  for (const [what, begin] of Object.entries(FAULTS)) test(`a wait goes on without, and its end is not taken for another one's: ${what}`, async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const holders = ['one', 'two'].map(id => standing(work => keys.transaction(work), tx => tx.set({ session: { [id]: 0 } })))
    for (const { entered } of holders) await entered
    const end = begin()
    let first
    try {
      first = keys.set({ session: { one: 1 } })
    } finally {
      end()
    }
    first.catch(() => {})
    const second = keys.set({ session: { two: 2 } })
    await holders[0].end()
    assert.ok(await isPending(second))
    await holders[1].end()
    await within(SOON_MS, 'both', Promise.all([first, second]))
    assert.deepEqual(await keys.get('session', ['one', 'two']), { one: 1, two: 2 })
  })
})
