import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { openCask } from 'baileys-cask'
import { collect, open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { loadAgain } from './helpers/copies.mjs'
import { newPath } from './helpers/folders.mjs'
import { turns, until, within } from './helpers/gate.mjs'
import { SHARED, locksInWords, partiesOf, sharing, standingHere, standingThere, waiters, waiting, workerWith } from './helpers/threads.mjs'

const SOON_MS = 10_000
const HERE = /visibility\.spec\.mjs/
const sharedOptions = SHARED['in memory']

/** A copy of the package beside this one, with the same cask open. */
async function otherCopy(t, options) {
  const cask = await loadAgain().openCask(options)
  afterwards(t, () => within(SOON_MS, 'the other copy closes', cask.close()))
  return cask
}

const lockOf = (cask, words) => cask.locks().find(lock => [lock.kind, lock.label, lock.type, lock.id].filter(part => part !== undefined).join(' ') === words)
const namesOf = object => Object.keys(object).sort()

describe('locks()', () => {
  test('an idle cask has none, and neither has one whose transactions have ended', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    assert.deepEqual(cask.locks(), [])
    await keys.set({ session: { a: 1 } })
    await keys.transaction(tx => tx.get('session', ['a']), 'label')
    await assert.rejects(keys.transaction(async tx => { await tx.clear(); throw new Error('undone') }, 'label'), /undone/)
    assert.deepEqual(cask.locks(), [])
  })

  test('every kind of lock is there with what it is on and how it is held', async t => {
    const cask = await open(t)
    const shop = standingHere(t, cask.account('shop').keys, async tx => {
      await tx.get('lid-mapping', ['1'])
      await tx.get('session', ['a'])
      await tx.set({ 'my own': { b: 1 } })
      await collect(tx.listIds('pre-key'))
      await tx.setCreds({})
    }, 'work')
    const clears = standingHere(t, cask.account('other').keys, tx => tx.clear())
    await Promise.all([shop.entered, clears.entered])
    const [party] = cask.locks()[0].holders
    assert.deepEqual(namesOf(party).filter(name => name !== 'stack'), ['account', 'ageMs', 'label', 'mode', 'thread'])
    const facts = cask.locks().map(({ holders, waiters, ...lock }) => {
      assert.equal(holders.length, 1)
      assert.deepEqual(waiters, [])
      const [{ ageMs, stack, ...holder }] = holders
      assert.ok(ageMs >= 0 && ageMs < SOON_MS && Number.isFinite(ageMs))
      return { ...lock, ...holder }
    })
    const [shared, exclusive] = ['shared', 'exclusive'].map(mode => ({ account: 'shop', label: 'work', thread: 0, mode }))
    const name = ({ kind, type }) => `${kind} ${type}`
    const byName = (a, b) => (name(a) < name(b) ? -1 : 1)
    assert.deepEqual(facts.sort(byName), [
      { kind: 'account', account: 'other', thread: 0, mode: 'exclusive' },
      { kind: 'creds', ...exclusive },
      { kind: 'family', type: 'pre-key', ...shared },
      { kind: 'label', ...exclusive },
      { kind: 'record', type: 'lid-mapping', id: '1', ...shared },
      { kind: 'record', type: 'my own', id: 'b', ...exclusive },
      { kind: 'record', type: 'session', id: 'a', ...exclusive },
    ].sort(byName))
    await Promise.all([shop.leave(), clears.leave()])
    assert.deepEqual(cask.locks(), [])
  })

  test('holders come longest first and waiters in the order of service, each with its age', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const holders = []
    for (const label of ['first', 'second']) {
      const holder = standingHere(t, keys, tx => tx.get('device-list', ['a']), label)
      await holder.entered
      holders.push(holder)
      await until('time passes', () => lockOf(cask, 'record device-list a').holders.at(-1).ageMs >= 20)
    }
    const calls = [
      keys.transaction(tx => tx.set({ 'device-list': { a: ['0'] } }), 'writer'),
      keys.transaction(tx => tx.get('device-list', ['a']), 'reader'),
      keys.set({ 'device-list': { a: ['1'] } }),
    ]
    await waiting(cask, 3)
    await until('they have waited', () => waiters(cask).every(({ ageMs }) => ageMs >= 20))
    const lock = lockOf(cask, 'record device-list a')
    assert.deepEqual(lock.holders.map(({ label, mode }) => [label, mode]), [['first', 'shared'], ['second', 'shared']])
    assert.deepEqual(lock.waiters.map(({ label, mode }) => [label, mode]), [['writer', 'exclusive'], ['reader', 'shared'], [undefined, 'exclusive']])
    const ages = [...lock.holders, ...lock.waiters].map(({ ageMs }) => ageMs)
    assert.deepEqual(ages, [...ages].sort((a, b) => b - a), 'who came later is younger')
    assert.ok(ages[0] >= ages[1] + 15 && ages[1] >= ages[2] + 15 && ages[0] < SOON_MS, ages.join())
    // A plain set belongs to no transaction.
    assert.deepEqual(namesOf(lock.waiters[2]), ['ageMs', 'mode', 'stack', 'thread'])
    assert.deepEqual(namesOf(lock.waiters[0]), ['account', 'ageMs', 'label', 'mode', 'stack', 'thread'])
    await Promise.all(holders.map(holder => holder.leave()))
    await within(SOON_MS, 'the calls', Promise.all(calls))
  })

  test('a plain set that waits is there at each of its records, and a wait for an enclosing lock at that lock', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const holder = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }))
    await holder.entered
    const calls = [keys.set({ session: { a: 1, b: 1 } }), keys.transaction(tx => collect(tx.listIds('session'))), keys.clear()]
    assert.deepEqual(locksInWords(cask), ['account <- exclusive', 'family session <- shared', 'record session a exclusive <- exclusive', 'record session b <- exclusive'])
    await holder.leave()
    await within(SOON_MS, 'the calls', Promise.all(calls))
  })

  test('a lock of a child is its own while it runs and its parent\'s after', async t => {
    const cask = await open(t)
    await cask.account().keys.transaction(async tx => {
      const holder = () => lockOf(cask, 'record session a').holders.map(({ label }) => label)
      await tx.transaction(async inner => {
        await inner.set({ session: { a: 1 } })
        assert.deepEqual(holder(), ['child'])
      }, 'child')
      assert.deepEqual(holder(), ['parent'])
      assert.deepEqual(locksInWords(cask), ['label child exclusive', 'label parent exclusive', 'record session a exclusive'])
    }, 'parent')
  })

  test('holders and waiters of other threads are there under the numbers of their threads, and to them so are ours', async t => {
    const { cask, keys, workers } = await sharing(t, sharedOptions(), 2)
    const [one, two] = workers
    const there = standingThere(one, 'inside', tx => tx.set({ session: { a: 1 } }), 'there')
    await there.entered
    const calls = [two.run(({ kept }) => kept.keys.transaction(tx => tx.get('session', ['a']), 'second'))]
    await waiting(cask, 1)
    calls.push(keys.set({ session: { a: 2 } }))
    await waiting(cask, 2)
    const seen = ({ locks }) => {
      const { holders, waiters } = locks().find(({ kind }) => kind === 'record')
      return [...holders, ...waiters].map(({ thread, label, account }) => ({ thread, label, account }))
    }
    const expected = [
      { thread: one.thread, label: 'there', account: 'default' },
      { thread: two.thread, label: 'second', account: 'default' },
      { thread: 0, label: undefined, account: undefined },
    ]
    assert.deepEqual(seen(cask), expected)
    for (const worker of workers) assert.deepEqual(await worker.run(`({ kept }) => (${seen})(kept.cask)`), expected)
    assert.notEqual(one.thread, two.thread)
    await there.leave()
    await within(SOON_MS, 'the calls', Promise.all(calls))
  })

  test('locks of a cask are not those of another one, and after close there is nothing to ask', async t => {
    const [cask, other] = [await open(t), await open(t)]
    await cask.account().keys.transaction(async () => assert.deepEqual(other.locks(), []), 'label')
    await other.close()
    assert.throws(() => other.locks(), { code: 'ERR_CASK_CLOSED' })
  })
})

describe('the stack of a waiter', () => {
  const SESSION_A = { records: [{ type: 'session', id: 'a' }] }
  /** Calls inside a transaction that wait for another one, which holds a label, a record and the creds. */
  const INSIDE = {
    'tx.transaction': tx => tx.transaction(async () => {}, 'line'),
    'tx.transaction, independent': tx => tx.transaction(async () => {}, 'line', { nested: 'independent' }),
    'transaction, ambient': (tx, { keys }) => keys.transaction(async () => {}, 'line'),
    'transaction of another account': (tx, { other }) => other.transaction(inner => inner.get('session', ['a'])),
    'tx.transactWith': tx => tx.transactWith(SESSION_A, async () => {}),
    'tx.get': tx => tx.get('session', ['a']),
    'tx.get of several ids': tx => tx.get('session', ['0', 'a', 'z']),
    'get, ambient': (tx, { keys }) => keys.get('session', ['a']),
    'tx.set': tx => tx.set({ session: { a: 1 } }),
    'tx.set of several records': tx => tx.set({ session: { 0: 1, a: 1, z: 1 } }),
    'set, ambient': (tx, { keys }) => keys.set({ session: { a: 1 } }),
    'tx.clear': tx => tx.clear(),
    'clear, ambient': (tx, { keys }) => keys.clear(),
    'tx.list': async tx => { for await (const record of tx.list('session')) void record },
    'tx.listIds': async tx => { for await (const id of tx.listIds('session')) void id },
    'list, ambient': async (tx, { keys }) => { for await (const record of keys.list('session')) void record },
    'listIds, ambient': async (tx, { keys }) => { for await (const id of keys.listIds('session')) void id },
    'tx.setCreds': tx => tx.setCreds({}),
    'saveCreds, ambient': (tx, { account }) => account.saveCreds({}),
  }
  const OUTSIDE = {
    'transaction': ({ keys }) => keys.transaction(async () => {}, 'line'),
    'transactWith': ({ keys }) => keys.transactWith(SESSION_A, async () => {}),
    'saveCreds': ({ account }) => account.saveCreds({}),
    'set': ({ keys }) => keys.set({ session: { a: 1 } }),
    'clear': ({ keys }) => keys.clear(),
    'the commit of isolation \'label\'': ({ keys }) => keys.transaction(tx => tx.set({ session: { a: 1 } }), 'own', { isolation: 'label' }),
    'the commit of isolation \'label\', later': ({ keys }) => keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await turns()
    }, 'own', { isolation: 'label' }),
    'the commit of isolation \'label\' of work that is not async': ({ keys }) => keys.transaction(tx => { tx.set({ session: { a: 1 } }) }, 'own', { isolation: 'label' }),
  }
  /** Each call as the first of its transaction, and after others, when what began it is long gone from the stack. */
  const CALLS = { ...OUTSIDE }
  for (const [what, call] of Object.entries(INSIDE)) {
    CALLS[`${what}, first`] = parts => parts.keys.transaction(tx => call(tx, parts))
    CALLS[`${what}, after other calls`] = parts => parts.keys.transaction(async tx => {
      await tx.get('sender-key', ['0'])
      await turns()
      await call(tx, parts)
    })
  }
  const BLOCK = async tx => {
    await tx.set({ session: { a: 'blocked' } })
    await tx.setCreds({})
  }

  /** Makes a call on one handle and looks at its waits through another. */
  async function seenThrough(t, call, made, seen) {
    const blockers = [made.account(), made.account('other')].map(({ keys }) => standingHere(t, keys, BLOCK, 'line'))
    await Promise.all(blockers.map(({ entered }) => entered))
    const account = made.account()
    const ended = call({ account, keys: account.keys, other: made.account('other').keys })
    ended.catch(() => {})
    await until('it waits', () => waiters(seen).length > 0)
    const stacks = waiters(seen).map(({ stack }) => stack)
    await Promise.all(blockers.map(blocker => blocker.leave()))
    await within(SOON_MS, 'the call', ended)
    assert.deepEqual(stacks.filter(stack => !HERE.test(stack)), [])
  }

  for (const [what, call] of Object.entries(CALLS)) {
    test(`names the file that made the call: ${what}`, async t => {
      const cask = await open(t)
      await seenThrough(t, call, cask, cask)
    })
  }

  for (const what of ['transaction', 'set', 'saveCreds', 'tx.get, first', 'tx.list, after other calls', 'saveCreds, ambient, after other calls']) {
    test(`is seen through a second handle to the cask, and through a second copy of the package and back: ${what}`, async t => {
      const options = sharedOptions()
      const [cask, second, copy] = [await open(t, options), await open(t, options), await otherCopy(t, options)]
      await seenThrough(t, CALLS[what], cask, second)
      await seenThrough(t, CALLS[what], cask, copy)
      await seenThrough(t, CALLS[what], copy, cask)
    })
  }

  test('is there for every one, also where a thousand begin to wait in one turn', async t => {
    // A copy of its own has kept no stacks yet.
    const cask = await otherCopy(t, sharedOptions())
    const { keys } = cask.account()
    const blocker = standingHere(t, keys, BLOCK, 'line')
    await blocker.entered
    const ended = Array.from({ length: 1000 }, (_, n) => (n % 2 ? keys.transaction(async () => {}, 'line') : keys.set({ session: { a: n } })))
    await waiting(cask, 1000)
    assert.equal(waiters(cask).filter(({ stack }) => !HERE.test(stack)).length, 0, 'waiters without a stack')
    await blocker.leave()
    await within(SOON_MS, 'all of them', Promise.all(ended))
  })

  test('costs next to nothing where a lock goes round: few are taken, and yet one waits with a stack when it stops', async t => {
    const cask = await otherCopy(t, sharedOptions())
    const { keys } = cask.account()
    const taken = t.mock.method(Error, 'captureStackTrace')
    const began = performance.now()
    const goRound = async () => { for (let i = 0; i < 200; i++) await keys.transaction(() => turns(), 'line') }
    await within(SOON_MS, 'all of them', Promise.all(Array.from({ length: 16 }, goRound)))
    const elapsedMs = performance.now() - began
    // Of 3,200: at first 64 with 1,024 in reserve, one for each millisecond, and of the others and of the holders one in 64.
    const most = 16 + 64 + elapsedMs + 2 * 3200 / 64
    assert.ok(taken.mock.callCount() <= most, `${taken.mock.callCount()} stacks, not at most ${most}`)
    const blocker = standingHere(t, keys, BLOCK, 'line')
    await blocker.entered
    await until('a stack may be taken again', () => performance.now() - began > elapsedMs + 2)
    const ended = keys.transaction(async () => {}, 'line')
    assert.match(waiters(cask)[0].stack, HERE)
    await blocker.leave()
    await within(SOON_MS, 'who waited', ended)
  })

  test('leads to the line of the call, and so does the error of a wait that took too long', async t => {
    const cask = await open(t, { lockTimeoutMs: 40 })
    const { keys } = cask.account()
    const blocker = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }))
    await blocker.entered
    async function theOneThatWaits() {
      await keys.set({ session: { a: 2 } })
    }
    const error = theOneThatWaits().catch(error => error)
    assert.match(waiters(cask)[0].stack, /at theOneThatWaits .*visibility\.spec\.mjs/)
    assert.match((await error).stack, /at (async )?theOneThatWaits .*visibility\.spec\.mjs/)
    await blocker.leave()
  })
})

describe('the stack of a holder', () => {
  const HOLDERS = {
    'transaction with a label': (t, keys) => standingHere(t, keys, async () => {}, 'label'),
    'transaction without a label': (t, keys) => standingHere(t, keys, tx => tx.set({ session: { a: 1 } })),
    'a child': (t, keys) => standingHere(t, keys, tx => new Promise(resolve => void tx.transaction(async inner => {
      await inner.set({ session: { a: 1 } })
      resolve()
      await new Promise(setImmediate)
      await turns(20)
    }))),
  }

  for (const [what, hold] of Object.entries(HOLDERS)) {
    test(`with lockStacks it names the file, through every handle: ${what}`, async t => {
      const options = sharedOptions()
      const [cask, second, copy] = [await open(t, { ...options, lockStacks: true }), await open(t, options), await otherCopy(t, options)]
      const holder = hold(t, cask.account().keys)
      await holder.entered
      for (const [through, seen] of Object.entries({ 'the same handle': cask, 'a second handle': second, 'a second copy of the package': copy })) {
        const stacks = seen.locks().flatMap(({ holders }) => holders).map(({ stack }) => stack)
        assert.ok(stacks.length > 0 && stacks.every(stack => HERE.test(stack)), `seen through ${through}: ${stacks.join('\n')}`)
      }
      await holder.leave()
    })
  }

  test('with lockStacks it is there while a transaction waits for its locks, and when it has them', async t => {
    const cask = await open(t, { lockStacks: true })
    const { keys } = cask.account()
    const first = standingHere(t, keys, async () => {}, 'label')
    await first.entered
    const second = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'label')
    await waiting(cask, 1)
    assert.match(waiters(cask)[0].stack, HERE)
    await first.leave()
    await second.entered
    assert.deepEqual(cask.locks().map(({ holders }) => HERE.test(holders[0].stack)), [true, true])
    await second.leave()
  })

  for (const [what, write] of Object.entries({
    'the commit of a transaction': ({ keys }, big) => keys.transaction(tx => { tx.set({ session: { a: big } }) }, 'label'),
    'a plain set': ({ keys }, big) => keys.set({ session: { a: big } }),
    'saveCreds': ({ saveCreds }, big) => saveCreds({ big }),
  })) {
    test(`with lockStacks it is there while the disk is waited for: ${what}`, async t => {
      const cask = await open(t, { path: newPath(t), durability: 'power', lockStacks: true })
      let holders = []
      // The locks are held until the batch is safe, which takes longer than this turn of the event loop, unless this thread has to wait for its own.
      for (let tries = 0; holders.length === 0; tries++) {
        assert.ok(tries < 20, 'nothing was held')
        const written = write(cask.account(), Buffer.alloc(2_000_000, 1 + tries))
        await null
        holders = cask.locks().flatMap(({ holders }) => holders)
        await written
      }
      assert.deepEqual(holders.filter(({ stack }) => !HERE.test(stack)), [])
    })
  }

  test('without lockStacks one transaction in 64 has it', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const holders = Array.from({ length: 640 }, (_, n) => standingHere(t, keys, async () => {}, `label ${n}`))
    const stacks = cask.locks().flatMap(({ holders }) => holders).map(({ stack }) => stack).filter(stack => stack !== undefined)
    assert.equal(stacks.length, 10)
    assert.ok(stacks.every(stack => HERE.test(stack)))
    await Promise.all(holders.map(holder => holder.leave()))
  })
})

describe('the stack of another thread', () => {
  test('is absent while that thread has not reported a stall, and there when it has', async t => {
    const options = sharedOptions()
    const { cask, keys } = await sharing(t, options, 0)
    const blocker = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'here')
    await blocker.entered
    const silent = await workerWith(t, { ...options, stallWarnMs: 0, lockStacks: true })
    const reports = await workerWith(t, { ...options, stallWarnMs: 400, lockStacks: true })
    const waits = ({ kept }) => kept.keys.transaction(async tx => {
      await tx.set({ session: { [`of ${kept.name}`]: 1 } })
      await tx.get('session', ['a'])
    }, kept.name)
    const ended = []
    for (const [name, worker] of Object.entries({ silent, reports })) {
      await worker.run(({ kept }, name) => void (kept.name = name), name)
      ended.push(worker.run(waits))
    }
    await waiting(cask, 2)
    for (const party of partiesOf(cask, reports.thread)) assert.ok(party.stack === undefined || party.ageMs >= 300, 'too early')
    await until('the stacks of the thread that has reported', () => partiesOf(cask, reports.thread).every(({ stack }) => stack !== undefined))
    const roles = cask.locks().flatMap(({ holders, waiters }) => [...holders.map(party => ['holds', party]), ...waiters.map(party => ['waits', party])])
    const here = roles.filter(([, { thread }]) => thread === reports.thread)
    assert.deepEqual(here.map(([role]) => role).sort(), ['holds', 'holds', 'waits'])
    for (const [, { stack }] of here) assert.match(stack, /remote-main\.mjs/)
    for (const { stack } of partiesOf(cask, silent.thread)) assert.equal(stack, undefined)
    await blocker.leave()
    await within(SOON_MS, 'both', Promise.all(ended))
    assert.deepEqual(cask.locks(), [])
  })
})
