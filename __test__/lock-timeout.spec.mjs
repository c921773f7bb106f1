import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { CaskError } from 'baileys-cask'
import { collect, open, recordsOf } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { startWorker } from './helpers/remote.mjs'
import { heldOpen, outcome, reasonOf } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const LIMIT_MS = 40
const soon = (what, promise) => within(SOON_MS, what, promise)
let names = 0

/** A cask with a limit, and one of the same store without, through which everything is locked. */
async function limited(t, options = {}) {
  const name = `lock timeouts ${process.pid} ${names++}`
  const cask = await open(t, { name, lockTimeoutMs: LIMIT_MS, ...options })
  const patient = await open(t, { name })
  const [account, other] = [cask.account('a'), patient.account('a')]
  await other.keys.set({ session: { busy: 'before' } })
  const holder = await heldOpen(t, work => other.keys.transaction(work, 'busy label'), async tx => {
    await tx.set({ session: { busy: 'held' }, 'pre-key': { busy: 'held' } })
    await tx.setCreds({ n: 'held' })
  })
  return { name, cask, account, keys: account.keys, other, holder }
}

const record = (type, id) => [{ account: 'a', type, id }]

/** Every call that can wait for a lock, with what it then waits for. */
const CALLS = {
  get: [tx => tx.get('session', ['busy']), { records: record('session', 'busy') }],
  'get of several': [tx => tx.get('session', ['a', 'busy', 'c']), { records: record('session', 'busy') }],
  set: [tx => tx.set({ session: { busy: 1 } }), { records: record('session', 'busy') }],
  'set of several': [tx => tx.set({ session: { a: 1, z: 1 }, 'pre-key': { busy: 1 } }), { records: record('pre-key', 'busy') }],
  'a delete': [tx => tx.set({ session: { busy: null } }), { records: record('session', 'busy') }],
  clear: [tx => tx.clear(), {}],
  setCreds: [tx => tx.setCreds({ n: 1 }), {}],
  list: [tx => collect(tx.list('session')), {}],
  listIds: [tx => collect(tx.listIds('session')), {}],
  'a label inside': [tx => tx.transaction(async () => {}, 'busy label'), { labels: ['busy label'] }],
  'records inside': [tx => tx.transactWith({ records: [{ type: 'session', id: 'free' }, { type: 'session', id: 'busy' }] }, async () => {}), { records: record('session', 'busy') }],
}

function isTimeout(error, facts, call = /lock-timeout\.spec\.mjs/) {
  assert.ok(error instanceof CaskError, String(error))
  assert.deepEqual([error.code, error.retryable], ['ERR_CASK_LOCK_TIMEOUT', true])
  assert.ok(Number.isInteger(error.waitedMs) && error.waitedMs >= LIMIT_MS && error.waitedMs < SOON_MS, `waitedMs is ${error.waitedMs}`)
  assert.match(error.message, /waited \d+ ms for .*lockTimeoutMs.*cask\.locks\(\)/)
  for (const [name, fact] of Object.entries(facts)) assert.deepEqual(error[name], fact)
  assert.match(error.stack, call, 'the stack does not lead to the call')
  return true
}

describe('a wait for longer than lockTimeoutMs', () => {
  for (const [name, [call, facts]] of Object.entries(CALLS)) {
    test(`of ${name} in a transaction rejects, says what it waited for, and dooms the transaction`, async t => {
      const { keys, holder, other } = await limited(t)
      const joins = /inside/.test(name)
      for (const ambient of [false, true]) {
        const held = await heldOpen(t, work => keys.transaction(work, 'mine'), tx => tx.set({ session: { mine: 1 } }))
        const begun = performance.now()
        const { error } = await soon('the limit', outcome(held.inside(() => call(ambient && name !== 'setCreds' ? keys : held.tx))))
        assert.ok(performance.now() - begun >= LIMIT_MS - 1)
        isTimeout(error, facts)
        if (joins) {
          // What failed is the one inside; the one around it may go on.
          await held.tx.set({ session: { mine: 2 } })
          held.leave()
          await soon('the end', held.ended)
        } else {
          assert.equal(reasonOf((await outcome(held.tx.get('session', ['mine']))).error), error)
          held.leave()
          assert.equal((await soon('the end', outcome(held.ended))).error, error)
        }
      }
      assert.deepEqual(await recordsOf(other.keys, 'session'), [['busy', 'before'], ...(joins ? [['mine', 2]] : [])])
      holder.leave()
      await holder.ended
    })
  }

  test('of a transaction for its label or its records rejects, and its work never begins', async t => {
    const { keys, holder } = await limited(t)
    let begun = 0
    const work = async () => begun++
    isTimeout((await soon('the limit', outcome(keys.transaction(work, 'busy label')))).error, { labels: ['busy label'] })
    isTimeout((await soon('the limit', outcome(keys.transactWith({ records: [{ type: 'session', id: 'busy' }, { type: 'session', id: 'a' }] }, work)))).error, { records: record('session', 'busy') })
    holder.leave()
    await holder.ended
    await soon('the label', keys.transaction(async () => {}, 'busy label'))
    assert.equal(begun, 0)
  })

  test('of a plain set, clear or saveCreds rejects, and nothing of it is written, then or later', async t => {
    const { cask, account, keys, holder } = await limited(t)
    const { error } = await soon('the limit', outcome(keys.set({ session: { busy: 1, free: 1 } })))
    isTimeout(error, { records: record('session', 'busy') })
    isTimeout((await soon('the limit', outcome(keys.clear()))).error, {})
    isTimeout((await soon('the limit', outcome(account.saveCreds({ n: 1 })))).error, {})
    assert.ok(cask.locks().every(({ waiters }) => waiters.length === 0))
    holder.leave()
    await holder.ended
    assert.deepEqual([await recordsOf(keys, 'session'), await account.loadCreds()], [[['busy', 'held']], { n: 'held' }])
    await soon('a set now', keys.set({ session: { busy: 2 } }))
  })

  test('of a commit that takes its locks then rejects, and commits nothing', async t => {
    const { keys, holder } = await limited(t)
    const ended = keys.transaction(tx => tx.set({ session: { a: 1, busy: 1 } }), 'mine', { isolation: 'label' })
    isTimeout((await soon('the limit', outcome(ended))).error, { records: record('session', 'busy') }, /./)
    holder.leave()
    await holder.ended
    assert.deepEqual(await recordsOf(keys, 'session'), [['busy', 'held']])
  })

  test('of an inner transaction dooms that one only', async t => {
    const { keys, other } = await limited(t)
    await keys.transaction(async tx => {
      await tx.set({ session: { outer: 1 } })
      const { error } = await soon('the limit', outcome(tx.transaction(async inner => {
        await inner.set({ session: { inner: 1 } })
        await inner.get('session', ['busy']).catch(() => {})
      })))
      isTimeout(error, { records: record('session', 'busy') })
      assert.deepEqual(await tx.get('session', ['inner', 'outer']), { outer: 1 })
    })
    assert.deepEqual(await other.keys.get('session', ['inner', 'outer']), { outer: 1 })
  })

  test('lets those behind it in the line go on', async t => {
    const { keys, other } = await limited(t)
    const reader = await heldOpen(t, work => other.keys.transaction(work), tx => tx.get('lid-mapping', ['x']))
    const writes = outcome(keys.transaction(tx => tx.set({ 'lid-mapping': { x: 'y' } })))
    await isPending(writes)
    const reads = other.keys.transaction(tx => tx.get('lid-mapping', ['x']))
    isTimeout((await soon('the limit', writes)).error, { records: record('lid-mapping', 'x') })
    assert.deepEqual(await soon('the one behind it', reads), {})
    reader.leave()
    await reader.ended
  })
})

describe('lockTimeoutMs', () => {
  test('is of the handle: another one of the same store waits on', async t => {
    const { keys, other, holder } = await limited(t)
    const waits = other.keys.set({ session: { busy: 'after' } })
    await assert.rejects(keys.set({ session: { busy: 1 } }), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    assert.ok(await isPending(waits))
    holder.leave()
    await soon('the patient one', waits)
    assert.deepEqual(await keys.get('session', ['busy']), { busy: 'after' })
  })

  test('of a short and a long one at once are each kept in time', async t => {
    const { name, keys, holder } = await limited(t)
    const longer = await open(t, { name, lockTimeoutMs: 60_000 })
    const waits = longer.account('a').keys.set({ session: { busy: 'longer' } })
    const begun = performance.now()
    await soon('the short one', assert.rejects(keys.set({ session: { busy: 1 } }), { code: 'ERR_CASK_LOCK_TIMEOUT' }))
    assert.ok(performance.now() - begun < SOON_MS / 2)
    assert.ok(await isPending(waits))
    holder.leave()
    await soon('the long one', waits)
  })

  test('counts each wait by itself, not the transaction', async t => {
    const { keys, other } = await limited(t, { lockTimeoutMs: 400 })
    for (let n = 0; n < 3; n++) {
      const held = await heldOpen(t, work => other.keys.transaction(work), tx => tx.set({ 'sender-key': { [n]: 1 } }))
      setTimeout(held.leave, 200)
    }
    const begun = performance.now()
    await keys.transaction(async tx => {
      for (let n = 0; n < 3; n++) await tx.get('sender-key', [String(n)])
      const more = await heldOpen(t, work => other.keys.transaction(work), late => late.set({ 'sender-key': { more: 1 } }))
      setTimeout(more.leave, 250)
      await tx.get('sender-key', ['more'])
    })
    assert.ok(performance.now() - begun >= 400, 'this proves nothing')
  })

  test('0 is no limit', async t => {
    const { keys, holder } = await limited(t, { lockTimeoutMs: 0 })
    const waits = keys.set({ session: { busy: 1 } })
    await new Promise(resolve => setTimeout(resolve, 4 * LIMIT_MS))
    assert.ok(await isPending(waits))
    holder.leave()
    await soon('the lock', waits)
  })

  test('holds in a worker thread for what the main thread has locked', async t => {
    const name = `lock timeouts ${process.pid} ${names++}`
    const { keys } = (await open(t, { name })).account('a')
    await heldOpen(t, work => keys.transaction(work, 'busy label'))
    const worker = await startWorker(t)
    const error = await soon('the limit', worker.run(async ({ openCask }, name) => {
      const { keys } = (await openCask({ name, lockTimeoutMs: 30 })).account('a')
      return keys.transaction(async () => {}, 'busy label').then(() => 'got it', ({ code, labels }) => ({ code, labels }))
    }, name))
    assert.deepEqual(error, { code: 'ERR_CASK_LOCK_TIMEOUT', labels: ['busy label'] })
  })

  test('is kept while close() waits for what waits', async t => {
    for (const call of [
      account => account.keys.set({ session: { busy: 1 } }), account => account.keys.clear(), account => account.saveCreds({ n: 1 }),
      account => account.keys.transaction(async () => {}, 'busy label'), account => account.keys.transaction(tx => tx.get('session', ['busy'])),
    ]) {
      const { cask, account } = await limited(t)
      const order = []
      const waits = outcome(call(account)).finally(() => order.push('the call'))
      const closed = cask.close().then(() => order.push('close'))
      isTimeout((await soon('the limit', waits)).error, {})
      await soon('close', closed)
      assert.deepEqual(order, ['the call', 'close'], String(call))
    }
  })
})

test('waits that are over leave neither timers nor waiters behind', async t => {
  const cask = await open(t, { lockTimeoutMs: 60_000 })
  const { keys } = cask.account()
  const timers = () => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length
  const before = timers()
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 100 }, () => keys.transaction(async () => {}, 'l')))
  assert.equal(timers(), before)
  assert.deepEqual(cask.locks(), [])
})

test('the longest limit is one that a timer can wait for', async t => {
  const warnings = []
  const listen = ({ name }) => warnings.push(name)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  const cask = await open(t, { lockTimeoutMs: 2 ** 31 - 1 })
  const { keys } = cask.account()
  await Promise.all([keys.transaction(() => turns(), 'label'), keys.transaction(() => turns(), 'label')])
  assert.deepEqual(warnings, [])
})
