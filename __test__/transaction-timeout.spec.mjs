import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { CaskError } from 'baileys-cask'
import { collect, open, recordsOf } from './helpers/casks.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
const TIMED_OUT = { name: 'CaskError', code: 'ERR_CASK_TRANSACTION_TIMEOUT', retryable: true }
/** Longer than a thread of a busy machine stands still most often. */
const LIMIT_MS = 60
const keysOf = async (t, transactionTimeoutMs, more = {}) => (await open(t, { transactionTimeoutMs, ...more })).account().keys

/** What counts one lock for each kind of it. */
const FIRST_LOCKS = {
  'its label': (keys, work) => keys.transaction(work, 'label'),
  'records that it names': (keys, work) => keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work),
  'a read': (keys, work) => keys.transaction(async tx => { await tx.get('session', ['a']); return work(tx) }),
  'a write': (keys, work) => keys.transaction(async tx => { await tx.set({ session: { a: 1 } }); return work(tx) }),
  'an ambient write': (keys, work) => keys.transaction(async tx => { await keys.set({ session: { a: 1 } }); return work(tx) }),
  'a list': (keys, work) => keys.transaction(async tx => { await collect(tx.list('session')); return work(tx) }),
  'a clear': (keys, work) => keys.transaction(async tx => { await tx.clear(); return work(tx) }),
  'the creds': (keys, work) => keys.transaction(async tx => { await tx.setCreds({ n: 1 }); return work(tx) }),
  'a label inside, inherited': (keys, work) => keys.transaction(async tx => { await tx.transaction(async () => {}, 'inner'); return work(tx) }),
  'a record two deep, inherited': (keys, work) => keys.transaction(async tx => {
    await tx.transaction(inner => inner.transaction(innermost => innermost.set({ session: { a: 1 } })))
    return work(tx)
  }),
}

describe('a transaction that holds a lock and makes no call', () => {
  for (const [lock, begin] of Object.entries(FIRST_LOCKS)) test(`is given up after the limit, from ${lock} on`, async t => {
    const cask = await open(t, { transactionTimeoutMs: LIMIT_MS })
    const begun = performance.now()
    const held = await heldOpen(t, work => begin(cask.account().keys, work))
    const { error } = await soon('the time-out', outcome(held.ended))
    const took = performance.now() - begun
    assert.ok(error instanceof CaskError)
    assert.deepEqual([error.code, error.retryable, error.label], ['ERR_CASK_TRANSACTION_TIMEOUT', true, lock === 'its label' ? 'label' : undefined])
    assert.ok(took >= LIMIT_MS - 1 && took < 5000, `after ${took} ms`)
    assert.ok(error.heldMs >= LIMIT_MS - 1 && error.heldMs <= took + 1, `heldMs is ${error.heldMs} of ${took}`)
    assert.match(error.message, /held locks for \d+ ms without a call.*find out what its work waits for/)
    assert.deepEqual(cask.locks(), [], 'its locks are not free')
    held.leave()
  })

  test('gives its locks to those who wait in that moment, and commits nothing later', async t => {
    const keys = await keysOf(t, LIMIT_MS)
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 'hung', b: 'hung' } }))
    const order = []
    const waits = [keys.transaction(tx => tx.get('session', ['a']), 'label'), keys.set({ session: { a: 'plain' } })]
    await soon('all', Promise.all([...waits.map(wait => wait.then(() => order.push('a waiter'))), outcome(held.ended).then(() => order.push('the end'))]))
    assert.equal(order.length, 3)
    held.leave()
    await turns()
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'plain']])
  })

  test('is refused its late commit, and rejects once and for all', async t => {
    const keys = await keysOf(t, LIMIT_MS)
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 'late' } }))
    await soon('the time-out', assert.rejects(held.ended, TIMED_OUT))
    held.leave()
    await turns()
    await assert.rejects(held.ended, TIMED_OUT)
    assert.deepEqual(await recordsOf(keys, 'session'), [])
  })
})

describe('what does not count', () => {
  test('time without any lock', async t => {
    const keys = await keysOf(t, LIMIT_MS)
    const idle = () => sleep(5 * LIMIT_MS)
    const works = {
      'no call': idle,
      'a read of nothing': async tx => { await tx.get('session', []); await idle() },
      'a set of nothing': async tx => { await tx.set({}); await idle() },
      'a refused argument': async tx => { await tx.set({ session: { a: NaN } }).catch(() => {}); await idle() },
      'an empty transaction inside': async tx => { await tx.transaction(async () => {}); await idle() },
      'an inner one that was undone': async tx => { await tx.transaction(async inner => { await inner.set({ session: { a: 1 } }); throw new Error('inner') }).catch(() => {}); await idle() },
      'an independent one inside': async tx => { await tx.transaction(inner => inner.set({ session: { b: 1 } }), 'i', { nested: 'independent' }); await idle() },
    }
    const ended = await soon('the end of all', Promise.all(Object.entries(works).map(async ([name, work]) => [name, (await outcome(keys.transaction(work))).error?.code])))
    assert.deepEqual(ended, Object.keys(works).map(name => [name, undefined]))
  })

  test('time without any lock, where reads take none', async t => {
    const keys = await keysOf(t, LIMIT_MS)
    await soon('the end', keys.transaction(async tx => {
      await tx.get('session', ['a'])
      await tx.set({ session: { a: 1 } })
      await sleep(5 * LIMIT_MS)
    }, undefined, { isolation: 'label' }))
    assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
  })

  test('the wait for its first lock', async t => {
    const name = `limits ${process.pid} first lock`
    const keys = await keysOf(t, LIMIT_MS, { name })
    const other = await keysOf(t, 0, { name })
    const busy = await heldOpen(t, work => other.transaction(work, 'label'))
    const ended = keys.transaction(tx => tx.set({ session: { a: 1 } }), 'label')
    await sleep(5 * LIMIT_MS)
    busy.leave()
    await soon('the end', ended)
  })

  for (const [who, wait] of Object.entries({
    'it waits for a lock': tx => tx.get('session', ['busy']),
    'its child waits for a lock': tx => tx.transaction(inner => inner.get('session', ['busy'])),
    'its child waits for its label': tx => tx.transaction(async () => {}, 'busy'),
    'its independent child waits for a lock': tx => tx.transaction(inner => inner.get('session', ['busy']), 'i', { nested: 'independent' }),
  })) test(`time in which ${who}: also more than ten times the limit`, async t => {
    const name = `limits ${process.pid} ${who}`
    const keys = await keysOf(t, 20, { name })
    const other = await keysOf(t, 0, { name })
    const busy = await heldOpen(t, work => other.transaction(work, 'busy'), tx => tx.set({ session: { busy: 1 } }))
    const ended = keys.transaction(async tx => {
      await wait(tx)
      await tx.set({ session: { a: 1 } })
    }, 'label')
    await sleep(300)
    assert.ok(await isPending(ended), 'it was given up')
    busy.leave()
    await soon('the end', ended)
    assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
  })
})

describe('the clock starts anew', () => {
  const SLOW_MS = 250
  /** Calls of a transaction, each of which shows that it lives. */
  const CALLS = {
    get: tx => tx.get('session', ['a']),
    'get of what it has': tx => tx.get('session', ['mine']),
    set: tx => tx.set({ session: { a: 1 } }),
    list: tx => collect(tx.list('session')),
    setCreds: tx => tx.setCreds({ n: 1 }),
    'an empty transaction inside': tx => tx.transaction(async () => {}),
    'an empty transaction with a label inside': tx => tx.transaction(async () => {}, 'label'),
    'an empty independent transaction inside': tx => tx.transaction(async () => {}, 'i', { nested: 'independent' }),
    transactWith: tx => tx.transactWith({ records: [{ type: 'session', id: 'mine' }] }, async () => {}),
  }
  test('at each call that it makes', async t => {
    const ended = await soon('the end of all', Promise.all(Object.entries(CALLS).map(async ([name, call]) => {
      const own = await keysOf(t, SLOW_MS)
      return [name, (await outcome(own.transaction(async tx => {
        await tx.set({ session: { mine: 1 } })
        for (let n = 0; n < 8; n++) {
          await sleep(SLOW_MS / 4)
          await call(tx)
        }
      }, 'label'))).error?.code]
    })))
    assert.deepEqual(ended, Object.keys(CALLS).map(name => [name, undefined]))
  })

  test('at each call of the ambient keys, and of what runs inside it', async t => {
    const keys = await keysOf(t, SLOW_MS)
    await soon('the end', keys.transaction(async tx => {
      await tx.set({ session: { mine: 1 } })
      for (let n = 0; n < 6; n++) {
        await sleep(SLOW_MS / 4)
        await keys.get('session', ['a'])
      }
      await tx.transaction(async inner => {
        for (let n = 0; n < 6; n++) {
          await sleep(SLOW_MS / 4)
          await inner.get('session', ['b'])
        }
      })
      await keys.set({ session: { end: 1 } })
    }, 'label'))
    assert.deepEqual(await keys.get('session', ['end']), { end: 1 })
  })

  test('for ten times the limit at most', async t => {
    const limit = 30
    const keys = await keysOf(t, limit)
    let calls = 0
    const stop = gate()
    let stopped = false
    stop.opened.then(() => (stopped = true))
    const begun = performance.now()
    const ended = keys.transaction(async tx => {
      while (!stopped) {
        await tx.get('session', ['a'])
        calls++
        await sleep(2)
      }
    }, 'label')
    const { error } = await soon('the time-out', outcome(ended))
    const took = performance.now() - begun
    stop.open()
    assert.equal(error?.code, 'ERR_CASK_TRANSACTION_TIMEOUT')
    assert.ok(took >= 10 * limit - 1 && took < 5000, `after ${took} ms`)
    assert.ok(error.heldMs >= 10 * limit - 1 && error.heldMs <= took + 1, `heldMs is ${error.heldMs}`)
    assert.match(error.message, /in all/)
    assert.ok(calls > 5)
  })
})

describe('0 is no limit', () => {
  test('a transaction that holds locks stays as long as it likes', async t => {
    const keys = await keysOf(t, 0, { stallWarnMs: 20 })
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 1 } }))
    await sleep(200)
    assert.ok(await isPending(held.ended))
    held.leave()
    await held.ended
    assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
  })
})

describe('inside each other', () => {
  for (const label of [undefined, 'parent']) test(`a child's time-out dooms the child only${label ? ', though the one around it holds a lock, too' : ''}`, async t => {
    const keys = await keysOf(t, LIMIT_MS)
    const [hang, left] = [gate(), gate()]
    t.after(hang.open)
    const ended = keys.transaction(async tx => {
      if (label) await tx.set({ session: { before: 1 } })
      const { error } = await outcome(tx.transaction(async inner => {
        await inner.set({ session: { inner: 1 } })
        await hang.opened
      }, 'child'))
      assert.deepEqual([error?.code, error?.label], ['ERR_CASK_TRANSACTION_TIMEOUT', 'child'])
      await tx.set({ session: { after: 1 } })
      assert.deepEqual(await tx.get('session', ['inner', 'after']), { after: 1 })
      left.open()
    }, label)
    await soon('the end around it', ended)
    assert.deepEqual(await keys.get('session', ['before', 'inner', 'after']), { ...(label ? { before: 1 } : {}), after: 1 })
  })

  test('the locks of a child that timed out are free, also where the one around it goes on', async t => {
    const keys = await keysOf(t, LIMIT_MS)
    const outer = await heldOpen(t, work => keys.transaction(work))
    const inner = await heldOpen(t, work => outer.tx.transaction(work, 'child'), tx => tx.set({ session: { a: 1 } }))
    await soon('the time-out', assert.rejects(inner.ended, { ...TIMED_OUT, label: 'child' }))
    await soon('its label', keys.transaction(async () => {}, 'child'))
    await soon('its record', keys.set({ session: { a: 2 } }))
    await outer.tx.set({ session: { b: 1 } })
    outer.leave()
    await soon('the outer end', outer.ended)
    assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 2, b: 1 })
  })

  for (const [how, options, limits] of [['transactionTimeoutMs', undefined, { transactionTimeoutMs: LIMIT_MS }], ['timeoutMs', { timeoutMs: LIMIT_MS }, {}]]) {
    test(`an ancestor's time-out by ${how} does not doom an independent child, which commits`, async t => {
      const cask = await open(t, limits)
      const { keys } = cask.account()
      const outer = await heldOpen(t, work => keys.transaction(work, 'outer', options), tx => tx.set({ session: { outer: 1 } }))
      const inner = await heldOpen(t, work => outer.tx.transaction(work, undefined, { nested: 'independent' }))
      const { error } = await soon('the time-out', outcome(outer.ended))
      assert.deepEqual([error.code, error.label], ['ERR_CASK_TRANSACTION_TIMEOUT', 'outer'])
      await inner.tx.set({ session: { inner: 1 } })
      await inner.inside(() => keys.get('session', ['inner']))
      inner.leave()
      assert.equal(await soon('the inner end', inner.ended), 'left')
      outer.leave()
      await turns()
      assert.deepEqual(await recordsOf(keys, 'session'), [['inner', 1]])
    })

    test(`an ancestor's time-out by ${how} dooms what joins it`, async t => {
      const { keys } = (await open(t, limits)).account()
      const outer = await heldOpen(t, work => keys.transaction(work, 'outer', options))
      const inner = await heldOpen(t, work => outer.tx.transaction(work))
      await soon('the time-out', assert.rejects(outer.ended, { ...TIMED_OUT, label: 'outer' }))
      await assert.rejects(inner.tx.set({ session: { inner: 1 } }), { code: 'ERR_CASK_TRANSACTION_TIMEOUT' })
      inner.leave()
      await soon('the inner end', assert.rejects(inner.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT' }))
      outer.leave()
      await turns()
      assert.deepEqual(await recordsOf(keys, 'session'), [])
    })
  }

  // A hung network call in an inner transaction must not keep the label of the one around it for ten times as long.
  for (const [what, begin] of Object.entries({
    'joins it': (outer, work) => outer.tx.transaction(work),
    'is independent': (outer, work) => outer.tx.transaction(work, undefined, { nested: 'independent' }),
    'is of another account': (outer, work, cask) => outer.inside(() => cask.account('other').keys.transaction(work)),
  })) test(`a child that ${what}, holds nothing and hangs does not put off the time-out of the one around it`, async t => {
    const cask = await open(t, { transactionTimeoutMs: LIMIT_MS })
    const outer = await heldOpen(t, work => cask.account().keys.transaction(work, 'outer'))
    await heldOpen(t, work => begin(outer, work, cask))
    const { error } = await soon('the time-out', outcome(outer.ended))
    assert.deepEqual([error?.code, error?.label], ['ERR_CASK_TRANSACTION_TIMEOUT', 'outer'])
    assert.match(error.message, /without a call/, `only after ten times the limit: ${error.heldMs} ms`)
    outer.leave()
  })

  test('a transaction of another account inside is timed out, and is not doomed, by itself', async t => {
    const cask = await open(t, { transactionTimeoutMs: LIMIT_MS })
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    const outer = await heldOpen(t, work => a.transaction(work, 'outer'))
    const inner = await outer.inside(() => heldOpen(t, work => b.transaction(work)))
    await soon('the outer time-out', assert.rejects(outer.ended, { ...TIMED_OUT, label: 'outer' }))
    await inner.tx.set({ session: { b: 1 } })
    inner.leave()
    await soon('the inner end', inner.ended)
    assert.deepEqual(await b.get('session', ['b']), { b: 1 })
    const again = await heldOpen(t, work => a.transaction(work))
    const hung = await again.inside(() => heldOpen(t, work => b.transaction(work, 'inner')))
    await soon('the inner time-out', assert.rejects(hung.ended, { ...TIMED_OUT, label: 'inner' }))
    await again.tx.set({ session: { a: 1 } })
    again.leave()
    await soon('the outer end', again.ended)
    assert.deepEqual(await a.get('session', ['a']), { a: 1 })
  })
})
