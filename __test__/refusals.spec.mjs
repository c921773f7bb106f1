import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { collect, open } from './helpers/casks.mjs'
import { gate, until, within } from './helpers/gate.mjs'
import { published } from './helpers/reports.mjs'
import { SHARED, sharing, standingHere, waiters, waiting } from './helpers/threads.mjs'

const SOON_MS = 10_000
const SECRET = 'never-to-be-seen'
const BLOCK = async tx => {
  await tx.set({ session: { a: SECRET } })
  await tx.setCreds({ secret: SECRET })
}
const record = id => ({ account: 'default', type: 'session', id })

/** Everything that can be seen of an error holds nothing of a value, and no field that is not documented. */
function assertDiscreet(error, fields) {
  const seen = inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error) + error.stack
  assert.ok(!seen.includes(SECRET), seen)
  assert.deepEqual(Object.keys(error).filter(name => error[name] !== undefined).sort(), ['code', 'name', 'retryable', ...fields].sort())
}

describe('a wait that took too long', () => {
  /** Calls that wait for a label, a record or the creds, and the records and labels that their errors name. */
  const CALLS = {
    'transaction': [{ labels: ['line'] }, ({ keys }) => keys.transaction(async () => {}, 'line')],
    'tx.transaction': [{ labels: ['line'] }, ({ keys }) => keys.transaction(tx => tx.transaction(async () => {}, 'line'), 'mine')],
    'transactWith': [{ records: [record('a')] }, ({ keys }) => keys.transactWith({ records: [record('b'), record('a')] }, async () => {})],
    'tx.get': [{ records: [record('a')] }, ({ keys }) => keys.transaction(tx => tx.get('session', ['0', 'a']))],
    'tx.set': [{ records: [record('a')] }, ({ keys }) => keys.transaction(tx => tx.set({ session: { a: { secret: SECRET } } }))],
    'tx.listIds': [{}, ({ keys }) => keys.transaction(tx => collect(tx.listIds('session')))],
    'tx.clear': [{}, ({ keys }) => keys.transaction(tx => tx.clear())],
    'tx.setCreds': [{}, ({ keys }) => keys.transaction(tx => tx.setCreds({ secret: SECRET }))],
    'a late commit': [{ records: [record('a')] }, ({ keys }) => keys.transaction(tx => tx.set({ session: { a: SECRET } }), 'mine', { isolation: 'label' })],
    'a plain set': [{ records: [record('a')] }, ({ keys }) => keys.set({ session: { a: { secret: SECRET } } })],
    'a plain clear': [{}, ({ keys }) => keys.clear()],
    'saveCreds': [{}, ({ account }) => account.saveCreds({ secret: SECRET })],
    'saveCreds inside': [{}, ({ account, keys }) => keys.transaction(() => account.saveCreds({ secret: SECRET }))],
  }
  for (const [what, [{ records = [], labels = [] }, call]] of Object.entries(CALLS)) {
    test(`names the records and labels it waited for, and no value: ${what}`, async t => {
      const cask = await open(t, { lockTimeoutMs: 30 })
      const account = cask.account()
      const blocker = standingHere(t, account.keys, BLOCK, 'line')
      await blocker.entered
      const error = await within(SOON_MS, 'the limit', call({ account, keys: account.keys }).then(() => assert.fail('it did not wait'), error => error))
      assert.deepEqual([error.name, error.code, error.retryable], ['CaskError', 'ERR_CASK_LOCK_TIMEOUT', true])
      assert.deepEqual([error.records, error.labels], [records, labels])
      assert.ok(error.waitedMs >= 30 && error.waitedMs < SOON_MS)
      assert.match(error.message, /waited \d+ ms for .*default/)
      assertDiscreet(error, ['records', 'labels', 'waitedMs'])
      await blocker.leave()
      assert.deepEqual(cask.locks(), [])
    })
  }
})

describe('a deadlock', () => {
  /** What the victim does last, and what its error names. */
  const LAST = {
    'a record and a record': [{ records: ['a', 'b'] }, tx => tx.set({ session: { b: { secret: SECRET } } })],
    'a record and a read': [{ records: ['a', 'b'] }, tx => tx.get('session', ['b'])],
    'a record and a label': [{ records: ['a'], labels: ['there'] }, tx => tx.transaction(async () => {}, 'there')],
    'a record and the creds': [{ records: ['a'] }, tx => tx.setCreds({ secret: SECRET })],
    'a record and a saveCreds': [{ records: ['a'] }, (tx, account) => account.saveCreds({ secret: SECRET })],
    'a record and a family': [{ records: ['a'] }, tx => collect(tx.listIds('session'))],
    'a record and an account': [{ records: ['a'] }, tx => tx.clear()],
  }
  for (const [what, [{ records = [], labels = [] }, last]] of Object.entries(LAST)) {
    test(`names the level to try again, the records and the labels, and no value: ${what}`, async t => {
      const cask = await open(t)
      const account = cask.account()
      const { keys } = account
      const heard = published(t)
      const [hasBoth, go] = [gate(), gate()]
      const there = keys.transaction(async tx => {
        await tx.set({ session: { b: { secret: SECRET } } })
        await tx.setCreds({ secret: SECRET })
        hasBoth.open()
        await go.opened
        await tx.set({ session: { a: { secret: SECRET } } })
      }, 'there')
      await hasBoth.opened
      const here = keys.transaction(async tx => {
        await tx.set({ session: { a: { secret: SECRET } } })
        go.open()
        await until('the other one waits', () => waiters(cask).length === 1)
        await last(tx, account)
      }, 'here')
      const error = await within(SOON_MS, 'the victim', here.then(() => assert.fail('there was no circle'), error => error))
      await within(SOON_MS, 'the other one', there)
      assert.deepEqual([error.name, error.code, error.retryable, error.label], ['CaskError', 'ERR_CASK_DEADLOCK', true, 'here'])
      assert.deepEqual(error.records.map(({ id }) => id).sort(), records)
      assert.ok(error.records.every(({ account, type }) => account === 'default' && type === 'session'))
      assert.deepEqual(error.labels, labels)
      assertDiscreet(error, ['label', 'records', 'labels'])
      assert.ok(!inspect(heard, { depth: 20, showHidden: true }).includes(SECRET))
    })
  }

  test('through a child names the level around it that holds a lock of the circle, in the child\'s error too', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const [hasB, go] = [gate(), gate()]
    const there = keys.transaction(async tx => {
      await tx.set({ session: { b: 1 } })
      hasB.open()
      await go.opened
      await tx.set({ session: { a: 1 } })
    })
    await hasB.opened
    let inner
    const here = keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      go.open()
      await waiting(cask, 1)
      inner = tx.transaction(child => child.transaction(deep => deep.get('session', ['b']), 'deep'), 'child')
      await inner.catch(() => {})
    }, 'parent')
    const error = await within(SOON_MS, 'the parent', here.catch(error => error))
    assert.deepEqual([error.code, error.label], ['ERR_CASK_DEADLOCK', 'parent'])
    assertDiscreet(error, ['label', 'records', 'labels'])
    assert.equal((await inner.catch(error => error)).label, 'parent')
    await within(SOON_MS, 'the other one', there)
  })
})

describe('a transaction that is doomed', () => {
  const hang = () => new Promise(() => {})
  /** How a transaction named `mine` is doomed, beside one that holds a record. */
  const CAUSES = {
    'a wait that took too long': ['ERR_CASK_LOCK_TIMEOUT', { lockTimeoutMs: 30 }, keys => keys.transaction(tx => tx.get('session', ['a']), 'mine')],
    'the time without a call': ['ERR_CASK_TRANSACTION_TIMEOUT', { transactionTimeoutMs: 50 }, keys => keys.transaction(hang, 'mine')],
    'timeoutMs': ['ERR_CASK_TRANSACTION_TIMEOUT', {}, keys => keys.transaction(hang, 'mine', { timeoutMs: 30 })],
    'a signal': ['ERR_CASK_ABORTED', {}, keys => keys.transaction(hang, 'mine', { signal: AbortSignal.timeout(30) })],
    'a signal while it waits': ['ERR_CASK_ABORTED', {}, keys => keys.transaction(tx => tx.set({ session: { a: SECRET } }), 'mine', { signal: AbortSignal.timeout(30) })],
    'a call that fails and is caught': ['ERR_CASK_LOCK_TIMEOUT', { lockTimeoutMs: 30 }, keys => keys.transaction(tx => tx.get('session', ['a']).catch(() => {}), 'mine')],
    'the drop of its account': ['ERR_CASK_DROPPED', {}, (keys, account) => {
      const doomed = keys.transaction(hang, 'mine')
      void account.drop()
      return doomed
    }],
  }
  for (const [what, [code, options, doom]] of Object.entries(CAUSES)) {
    test(`is published once, with its code and error: by ${what}`, async t => {
      const heard = published(t)
      const cask = await open(t, options)
      const account = cask.account()
      // The one it waits for, which may be doomed as well.
      const blocker = standingHere(t, account.keys, tx => tx.set({ session: { a: SECRET } }))
      await blocker.entered
      const error = await within(SOON_MS, 'its end', doom(account.keys, account).then(() => assert.fail('it was not doomed'), error => error))
      assert.equal(error.code, code)
      await blocker.leave().catch(() => {})
      const mine = heard.filter(({ on, label }) => on === 'doomed' && label === 'mine')
      assert.deepEqual(mine, [{ on: 'doomed', account: 'default', label: 'mine', code, error }])
      assert.equal(mine[0].error, error)
      assert.ok(!inspect(heard, { depth: 20, showHidden: true }).includes(SECRET))
    })
  }

  test('is not published for one that ends well, throws, or hears of a wrong argument', async t => {
    const heard = published(t)
    const { keys } = (await open(t)).account()
    await keys.transaction(tx => tx.set({ session: { a: 1 } }), 'well')
    await assert.rejects(keys.transaction(async () => { throw new Error('thrown') }, 'throws'), /thrown/)
    await keys.transaction(tx => tx.get(5, []).catch(() => {}), 'wrong')
    assert.deepEqual(heard, [])
  })

  test('is published for each level that a deadlock takes, and for nobody else', async t => {
    const heard = published(t)
    const cask = await open(t)
    const { keys } = cask.account()
    const other = standingHere(t, keys, tx => tx.set({ session: { b: 1 } }), 'other')
    await other.entered
    const crossing = keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await tx.transaction(inner => inner.get('session', ['b']), 'child')
    }, 'parent')
    await waiting(cask, 1)
    const closing = keys.transaction(async tx => {
      await tx.set({ session: { c: 1 } })
      await tx.transaction(() => tx.get('session', ['d']), 'innocent')
    }, 'bystander')
    await closing
    await other.leave()
    await crossing
    assert.deepEqual(heard, [])
    const [hasB, go] = [gate(), gate()]
    const there = keys.transaction(async tx => {
      await tx.set({ session: { b: 2 } })
      hasB.open()
      await go.opened
      await tx.set({ session: { a: 2 } })
    }, 'there')
    await hasB.opened
    const here = keys.transaction(async tx => {
      await tx.set({ session: { a: 3 } })
      go.open()
      await waiting(cask, 1)
      await tx.transaction(inner => inner.get('session', ['b']), 'child')
    }, 'parent')
    await within(SOON_MS, 'the victim', assert.rejects(here, { code: 'ERR_CASK_DEADLOCK' }))
    await within(SOON_MS, 'the other one', there)
    assert.deepEqual(heard.map(({ on, label, code }) => [on, label, code]).sort(), [['doomed', 'child', 'ERR_CASK_DEADLOCK'], ['doomed', 'parent', 'ERR_CASK_DEADLOCK']])
  })
})

describe('an independent transaction that joins', () => {
  for (const [what, touch] of Object.entries({
    'a read': tx => tx.get('session', ['staged']),
    'a write': tx => tx.set({ session: { staged: 2 } }),
    'a list': tx => collect(tx.list('session')),
    'a clear': tx => tx.clear(),
  })) {
    test(`is published once, with who it has joined: by ${what}`, async t => {
      const heard = published(t)
      const { keys } = (await open(t)).account()
      await keys.transaction(async tx => {
        await tx.set({ session: { staged: 1 } })
        await tx.transaction(async inner => {
          assert.equal(inner.joined, false)
          await touch(inner)
          assert.equal(inner.joined, true)
          await touch(inner)
        }, 'child', { nested: 'independent' })
      }, 'parent')
      assert.deepEqual(heard, [{ on: 'joined', account: 'default', label: 'child', around: 'parent' }])
    })
  }

  test('is published also where nobody asks and it fails; labels that are not there are left out or undefined', async t => {
    const heard = published(t)
    const { keys } = (await open(t)).account()
    await keys.transaction(async tx => {
      await tx.set({ session: { staged: 1 } })
      await assert.rejects(tx.transaction(async inner => {
        await inner.get('session', ['staged'])
        throw new Error('after all not')
      }, undefined, { nested: 'independent' }), /after all not/)
    })
    assert.deepEqual(heard.map(message => JSON.parse(JSON.stringify(message))), [{ on: 'joined', account: 'default' }])
  })

  test('is not published for one that touches nothing that is staged, nor for one that joins by default', async t => {
    const heard = published(t)
    const { keys } = (await open(t)).account()
    await keys.transaction(async tx => {
      await tx.set({ session: { staged: 1 } })
      await tx.get('session', ['read'])
      await tx.transaction(inner => inner.set({ session: { own: 1 } }), 'independent', { nested: 'independent' })
      await tx.transaction(inner => inner.get('session', ['read']), 'independent', { nested: 'independent' })
      await tx.transaction(inner => inner.get('session', ['staged']), 'joins')
    }, 'parent')
    assert.deepEqual(heard, [])
  })
})

test('what happens in a worker is published in its own thread', async t => {
  const heard = published(t)
  const { worker } = await sharing(t, SHARED['in memory']())
  const codes = await worker.run(async ({ kept }) => {
    const { subscribe } = await import('node:diagnostics_channel')
    const codes = []
    subscribe('baileys-cask:doomed', ({ code }) => codes.push(code))
    await kept.keys.transaction(() => new Promise(() => {}), 'there', { timeoutMs: 20 }).catch(() => {})
    return codes
  })
  assert.deepEqual(codes, ['ERR_CASK_TRANSACTION_TIMEOUT'])
  assert.deepEqual(heard, [])
})
