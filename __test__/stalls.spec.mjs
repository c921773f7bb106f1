import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { collect, open } from './helpers/casks.mjs'
import { gate, turns, until, within } from './helpers/gate.mjs'
import { keepingLogger, published } from './helpers/reports.mjs'
import { SHARED, sharing, standingHere, waiters, workerWith } from './helpers/threads.mjs'

const SOON_MS = 10_000
const WARN_MS = 40
const HERE = /stalls\.spec\.mjs/
const SECRET = 'never-to-be-seen'

/** A cask whose holders and waiters stall soon, with everything that is said about them. */
async function stalling(t, options) {
  const heard = published(t)
  const { told, logger } = keepingLogger()
  const cask = await open(t, { stallWarnMs: WARN_MS, logger, ...options })
  const stalls = role => heard.filter(({ on, role: of }) => on === 'stall' && of === role)
  const ends = role => heard.filter(({ on, role: of }) => on === 'stall-end' && of === role)
  return { cask, account: cask.account(), keys: cask.account().keys, heard, told, stalls, ends }
}

const namesOf = object => Object.keys(object).filter(name => object[name] !== undefined && name !== 'on').sort()
/** Long enough that a second report, or one that is not due, would have come. */
const aWhile = () => sleep(WARN_MS * 5)

describe('a holder that is older than stallWarnMs', () => {
  test('is reported once, with what it holds, and once more when it ends: through the channels and the logger', async t => {
    const { cask, keys, heard, told, stalls, ends } = await stalling(t, { lockStacks: true })
    const holder = standingHere(t, keys, async tx => {
      await tx.set({ session: { a: 1 } })
      await tx.get('lid-mapping', ['1'])
    }, 'work')
    await holder.entered
    const waits = [keys.set({ session: { a: 2 } }), keys.set({ session: { a: 3 } })]
    await until('the report', () => stalls('holder').length > 0)
    await aWhile()
    assert.equal(stalls('holder').length, 1)
    const [{ on, ageMs, stack, locks, ...facts }] = stalls('holder')
    assert.deepEqual(facts, { role: 'holder', account: 'default', label: 'work' })
    assert.ok(Number.isInteger(ageMs) && ageMs >= WARN_MS && ageMs < SOON_MS, String(ageMs))
    assert.match(stack, HERE)
    assert.deepEqual([...locks].sort((a, b) => (`${a.kind} ${a.type}` < `${b.kind} ${b.type}` ? -1 : 1)), [
      { kind: 'label', account: 'default', label: 'work', waiters: 0 },
      { kind: 'record', account: 'default', type: 'lid-mapping', id: '1', waiters: 0 },
      { kind: 'record', account: 'default', type: 'session', id: 'a', waiters: 2 },
    ])

    await holder.leave()
    await within(SOON_MS, 'those who waited', Promise.all(waits))
    await aWhile()
    assert.equal(ends('holder').length, 1)
    const [{ on: _, ageMs: endedAfter, ...end }] = ends('holder')
    assert.deepEqual(end, { role: 'holder', account: 'default', label: 'work' })
    assert.ok(Number.isInteger(endedAfter) && endedAfter >= ageMs + WARN_MS * 4 && endedAfter < SOON_MS, String(endedAfter))
    assert.deepEqual(cask.locks(), [])

    const ofHolder = told.filter(({ facts }) => facts.role === 'holder')
    assert.deepEqual(ofHolder.map(({ level }) => level), ['warn', 'warn'])
    assert.deepEqual(ofHolder.map(({ facts }) => facts), heard.filter(({ role }) => role === 'holder').map(({ on, ...message }) => message))
    for (const { words } of ofHolder) assert.match(words, /work.*\d+ ms/)
  })

  test('has no stack in its report where none was kept', async t => {
    const { keys, stalls } = await stalling(t)
    const holders = Array.from({ length: 65 }, (_, n) => standingHere(t, keys, async () => {}, `label ${n}`))
    await until('the reports', () => stalls('holder').length === 65)
    const withStack = stalls('holder').filter(({ stack }) => stack !== undefined)
    assert.ok(withStack.length >= 1 && withStack.length <= 2, `${withStack.length} of 65`)
    for (const { stack } of withStack) assert.match(stack, HERE)
    for (const report of stalls('holder')) assert.deepEqual(namesOf({ ...report, stack: undefined }), ['account', 'ageMs', 'label', 'locks', 'role'])
    await Promise.all(holders.map(holder => holder.leave()))
  })

  for (const [what, end] of Object.entries({
    'rolls back': holder => holder.fail(new Error('undone')).catch(() => {}),
    'is doomed by a call that fails': (holder, { controller }) => controller.abort(),
  })) {
    test(`is reported when it ${what}`, async t => {
      const { keys, stalls, ends } = await stalling(t)
      const controller = new AbortController()
      const holder = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'work', { signal: controller.signal })
      await until('the report', () => stalls('holder').length > 0)
      await end(holder, { controller })
      await within(SOON_MS, 'its end', holder.ended.catch(() => {}))
      assert.equal(ends('holder').length, 1)
    })
  }

  test('is reported when its time is up', async t => {
    const { keys, stalls, ends } = await stalling(t, { transactionTimeoutMs: WARN_MS * 4 })
    const holder = standingHere(t, keys, async () => {}, 'work')
    await within(SOON_MS, 'the time limit', assert.rejects(holder.ended, { code: 'ERR_CASK_TRANSACTION_TIMEOUT', label: 'work' }))
    assert.deepEqual([stalls('holder').length, ends('holder').length], [1, 1])
  })

  test('is reported for each of several, children among them, each with its own locks', async t => {
    const { keys, stalls } = await stalling(t)
    const [leave, inside] = [gate(), gate()]
    const ended = keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await tx.transaction(async inner => {
        await inner.set({ session: { b: 1 } })
        inside.open()
        await leave.opened
      }, 'child')
    }, 'parent')
    await inside.opened
    await until('both reports', () => stalls('holder').length === 2)
    leave.open()
    await ended
    const held = stalls('holder').map(({ label, locks }) => [label, locks.map(({ label, id }) => label ?? id).sort()]).sort()
    assert.deepEqual(held, [['child', ['b', 'child']], ['parent', ['a', 'parent']]])
  })
})

describe('a waiter that is older than stallWarnMs', () => {
  const BLOCK = async tx => {
    await tx.set({ session: { a: 1 } })
    await tx.setCreds({})
  }
  /** Each with the label that its reports have. */
  const CALLS = {
    'a transaction for its label': ['line', ({ keys }) => keys.transaction(async () => {}, 'line')],
    'transactWith': [undefined, ({ keys }) => keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, async () => {})],
    'a read': ['mine', ({ keys }) => keys.transaction(async tx => { await tx.get('session', ['a']) }, 'mine')],
    'a write': [undefined, ({ keys }) => keys.transaction(async tx => { await tx.set({ session: { a: SECRET } }) })],
    'listIds': ['mine', ({ keys }) => keys.transaction(tx => collect(tx.listIds('session')), 'mine')],
    'setCreds': ['mine', ({ keys }) => keys.transaction(tx => tx.setCreds({ secret: SECRET }), 'mine')],
    'a plain set': [undefined, ({ keys }) => keys.set({ session: { a: SECRET } })],
    'a plain clear': [undefined, ({ keys }) => keys.clear()],
    'saveCreds': [undefined, ({ account }) => account.saveCreds({ secret: SECRET })],
    'saveCreds inside': ['mine', ({ account, keys }) => keys.transaction(async tx => {
      await tx.get('sender-key', ['1'])
      await turns()
      await account.saveCreds({ secret: SECRET })
    }, 'mine')],
    'a late commit': ['mine', ({ keys }) => keys.transaction(async tx => { await tx.set({ session: { a: SECRET } }) }, 'mine', { isolation: 'label' })],
  }
  for (const [what, [label, call]] of Object.entries(CALLS)) {
    test(`is reported once, with the stack of its call, and once more when it has what it waited for: ${what}`, async t => {
      const { account, keys, heard, told, stalls, ends } = await stalling(t)
      const blocker = standingHere(t, keys, BLOCK, 'line')
      await blocker.entered
      const ended = call({ account, keys })
      await until('the report', () => stalls('waiter').length > 0)
      await aWhile()
      assert.equal(stalls('waiter').length, 1)
      const [{ on, ageMs, stack, ...facts }] = stalls('waiter')
      assert.deepEqual({ label: undefined, ...facts }, { role: 'waiter', account: 'default', label })
      assert.ok(Number.isInteger(ageMs) && ageMs >= WARN_MS && ageMs < SOON_MS)
      await blocker.leave()
      await within(SOON_MS, 'the call', ended)
      await until('the end', () => ends('waiter').length > 0)
      await aWhile()
      assert.equal(ends('waiter').length, 1)
      const [{ on: _, ageMs: endedAfter, ...end }] = ends('waiter')
      assert.deepEqual({ label: undefined, ...end }, { role: 'waiter', account: 'default', label })
      assert.ok(endedAfter >= ageMs + WARN_MS * 4 && endedAfter < SOON_MS)
      assert.deepEqual(told.map(({ level }) => level), Array(told.length).fill('warn'))
      assert.deepEqual(told.map(({ facts }) => facts), heard.map(({ on, ...message }) => message))
      assert.ok(!inspect([heard, told], { depth: 20 }).includes(SECRET))
      assert.match(String(stack), HERE)
    })
  }

  test('is reported when it ends without what it waited for', async t => {
    const { keys, stalls, ends } = await stalling(t, { lockTimeoutMs: WARN_MS * 6 })
    const blocker = standingHere(t, keys, BLOCK, 'line')
    await blocker.entered
    const signal = AbortSignal.timeout(WARN_MS * 6)
    const calls = [keys.set({ session: { a: 2 } }), keys.transaction(async () => {}, 'line'), keys.transaction(tx => tx.get('session', ['a']), 'mine', { signal })]
    const codes = (await Promise.allSettled(calls)).map(({ reason }) => reason?.code)
    assert.deepEqual(codes.slice(0, 2), Array(2).fill('ERR_CASK_LOCK_TIMEOUT'))
    assert.ok(['ERR_CASK_LOCK_TIMEOUT', 'ERR_CASK_ABORTED'].includes(codes[2]))
    await until('the ends', () => ends('waiter').length === 3)
    assert.equal(stalls('waiter').length, 3)
    await blocker.leave()
  })

  for (const [what, [label, work, transact]] of Object.entries({
    'its label': ['line', async () => {}, (keys, work) => keys.transaction(work, 'line')],
    'its first record, without a label': [undefined, tx => tx.get('session', ['a']), (keys, work) => keys.transaction(work)],
    'its first write, without a label': [undefined, tx => tx.set({ session: { a: 2 } }), (keys, work) => keys.transaction(work)],
    'the records of transactWith': [undefined, async () => {}, (keys, work) => keys.transactWith({ records: [{ type: 'session', id: 'a' }] }, work)],
    'the lock of its commit': [undefined, tx => tx.set({ session: { a: 2 } }), (keys, work) => keys.transaction(work, undefined, { isolation: 'label' })],
  })) {
    test(`is no holder while it waits for ${what} and holds nothing`, async t => {
      const { keys, stalls } = await stalling(t)
      const blocker = standingHere(t, keys, BLOCK, 'line')
      await until('the report of the blocker', () => stalls('holder').length === 1)
      const ended = transact(keys, work)
      await until('the report', () => stalls('waiter').length > 0)
      await aWhile()
      assert.deepEqual(stalls('holder').map(({ label }) => label), ['line'], 'the blocker and nobody else')
      assert.deepEqual(stalls('waiter').map(({ label }) => label), [label])
      await blocker.leave()
      await within(SOON_MS, 'the call', ended)
    })
  }

  test('is a holder as well where it has locks while it waits', async t => {
    const { keys, stalls } = await stalling(t)
    const blocker = standingHere(t, keys, BLOCK, 'line')
    await blocker.entered
    const ended = keys.transaction(tx => tx.get('session', ['a']), 'mine')
    await until('both reports', () => stalls('waiter').length === 1 && stalls('holder').length === 2)
    assert.deepEqual(stalls('holder').find(({ label }) => label === 'mine').locks, [{ kind: 'label', account: 'default', label: 'mine', waiters: 0 }])
    await blocker.leave()
    await within(SOON_MS, 'the call', ended)
  })
})

describe('reports', () => {
  test('are not made for what ends in time, nor for what holds no lock', async t => {
    const { keys, heard, told } = await stalling(t)
    const leave = gate()
    const standing = [
      keys.transaction(() => leave.opened),
      keys.transaction(async tx => { await tx.get('session', ['a']); await leave.opened }, undefined, { isolation: 'label' }),
      keys.transaction(async tx => { await tx.get(5, []).catch(() => {}); await leave.opened }),
      keys.transaction(async tx => { await tx.get('session', []); await tx.set({}); await leave.opened }),
    ]
    for (let n = 0; n < 20; n++) {
      await keys.transaction(tx => tx.set({ session: { a: n } }), 'label')
      await sleep(5)
    }
    await aWhile()
    leave.open()
    await Promise.all(standing)
    assert.deepEqual([heard, told], [[], []])
  })

  test('are not made where stallWarnMs is 0', async t => {
    const { keys, heard, told } = await stalling(t, { stallWarnMs: 0, transactionTimeoutMs: 60_000 })
    const holder = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'work')
    await holder.entered
    const waits = keys.set({ session: { a: 2 } })
    // Another handle looks often.
    const other = await open(t, { stallWarnMs: WARN_MS })
    const holds = standingHere(t, other.account().keys, async () => {}, 'other')
    await until('the report of the other cask', () => heard.length > 0)
    await aWhile()
    await Promise.all([holder.leave(), holds.leave(), waits])
    assert.deepEqual(told, [])
    assert.deepEqual(heard.map(({ label }) => label), ['other', 'other'])
  })

  test('belong to the handle: each warns after its own time, through its own logger', async t => {
    const options = SHARED['in memory']()
    const { cask, keys, told, stalls } = await stalling(t, options)
    const patient = keepingLogger()
    const other = await open(t, { ...options, stallWarnMs: 60_000, logger: patient.logger })
    const holder = standingHere(t, other.account().keys, tx => tx.set({ session: { a: 1 } }), 'patient')
    await holder.entered
    const waits = keys.set({ session: { a: 2 } })
    await until('the report of the waiter', () => stalls('waiter').length > 0)
    await aWhile()
    assert.deepEqual([stalls('holder'), patient.told, told.length], [[], [], 1])
    await holder.leave()
    await waits
    assert.deepEqual(cask.locks(), [])
  })

  test('of a worker are made in its own thread, also of what waits for this one', async t => {
    const options = SHARED['in memory']()
    const { keys } = await sharing(t, { ...options, stallWarnMs: 0 }, 0)
    const heard = published(t)
    const worker = await workerWith(t, { ...options, stallWarnMs: WARN_MS })
    const blocker = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'here')
    await blocker.entered
    const there = worker.run(async ({ kept, say }) => {
      const { subscribe } = await import('node:diagnostics_channel')
      const reports = []
      subscribe('baileys-cask:stall', ({ role, label }) => { reports.push([role, label]); say(`stall of a ${role}`) })
      subscribe('baileys-cask:stall-end', ({ role, label }) => reports.push(['end', role, label]))
      await kept.keys.transaction(tx => tx.get('session', ['a']), 'there')
      return reports
    })
    await Promise.all([worker.heard('stall of a waiter'), worker.heard('stall of a holder')])
    await blocker.leave()
    const reports = (await within(SOON_MS, 'the worker', there)).map(report => report.join(' ')).sort()
    assert.deepEqual(reports, ['end holder there', 'end waiter there', 'holder there', 'waiter there'])
    assert.deepEqual(heard, [])
  })

  test('are told outside of all transactions: what their listeners write stays', async t => {
    const { keys, stalls } = await stalling(t)
    const { keys: others } = (await open(t)).account()
    const [inside, writes] = [[], []]
    const listen = ({ role }) => {
      inside.push(others.isInTransaction())
      writes.push(others.set({ alerts: { [role]: 'seen' } }))
    }
    subscribe('baileys-cask:stall', listen)
    t.after(() => unsubscribe('baileys-cask:stall', listen))
    const { opened, open: fail } = gate()
    // Nobody has to be looked at as often as those that begin inside of it.
    const outer = others.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await Promise.all([1, 2].map(() => keys.transaction(async inner => {
        await inner.set({ session: { b: 1 } })
        await opened
      })))
      throw new Error('undone')
    }, 'outer')
    await until('the reports', () => stalls('holder').length > 0 && stalls('waiter').length > 0)
    fail()
    await assert.rejects(outer, /undone/)
    await within(SOON_MS, 'the writes', Promise.all(writes))
    assert.deepEqual([...new Set(inside)], [false])
    assert.deepEqual(await others.get('alerts', ['holder', 'waiter']), { holder: 'seen', waiter: 'seen' })
  })

  test('hold no value, neither of what is staged nor of what is read or waits', async t => {
    const { account, keys, heard, told } = await stalling(t, { lockStacks: true })
    await keys.set({ session: { read: { secret: SECRET } } })
    await account.saveCreds({ secret: SECRET })
    const holder = standingHere(t, keys, async tx => {
      await tx.get('session', ['read'])
      await tx.set({ session: { a: { secret: SECRET }, b: SECRET }, 'pre-key': { 1: { private: Buffer.from(SECRET) } } })
      await tx.setCreds({ secret: SECRET })
    }, 'work')
    await holder.entered
    const waits = [keys.set({ session: { a: SECRET } }), account.saveCreds({ secret: SECRET }), keys.transaction(tx => tx.set({ session: { b: SECRET } }))]
    await until('all reports', () => heard.length >= 4)
    await holder.leave()
    await Promise.all(waits)
    const said = inspect([heard, told], { depth: 20, maxArrayLength: null, maxStringLength: null, showHidden: true })
    assert.ok(!said.includes(SECRET) && !said.includes(Buffer.from(SECRET).toString('hex').match(/../g).slice(0, 8).join(' ')))
    assert.ok(heard.every(message => JSON.stringify(message) !== undefined), 'every message is plain')
  })

  for (const [what, begin] of Object.entries({
    '1,500 holders': (t, keys) => Array.from({ length: 1500 }, (_, n) => standingHere(t, keys, tx => tx.set({ session: { [n]: 1 } }), `label ${n}`)),
    '1,500 waiters behind one holder': (t, keys) => Array.from({ length: 1501 }, () => standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'line')),
  })) {
    test(`of ${what} that stall at once do not stop the thread`, async t => {
      const { keys, told, stalls } = await stalling(t, { stallWarnMs: 100 })
      const holders = begin(t, keys)
      let longest = 0
      let last = performance.now()
      await until('all reports', async () => {
        await new Promise(setImmediate)
        const now = performance.now()
        longest = Math.max(longest, now - last)
        last = now
        return stalls('holder').length + stalls('waiter').length >= holders.length
      }, 60_000)
      t.diagnostic(`the thread stood still for ${Math.round(longest)} ms`)
      assert.equal(told.length, holders.length)
      assert.ok(longest < 1500, `the thread stood still for ${Math.round(longest)} ms`)
      holders.forEach(holder => holder.leave())
      await within(SOON_MS, 'the end of all', Promise.all(holders.map(({ ended }) => ended)))
    })
  }
})
