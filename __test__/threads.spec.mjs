import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { MessageChannel, Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { collect, open } from './helpers/casks.mjs'
import { isPending, turns, until, within } from './helpers/gate.mjs'
import { SHARED, locksInWords, sharing, standingHere, standingThere, waiters, waiting } from './helpers/threads.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)

for (const [place, optionsFor] of Object.entries(SHARED)) describe(place, () => {
  const sharingHere = (t, count, options) => sharing(t, { ...optionsFor(t), ...options }, count)

  describe('one lock table', () => {
    test('a record that a worker has written is waited for, others are not, and a plain read sees what is committed', async t => {
      const { keys, worker } = await sharingHere(t)
      await keys.set({ session: { a: 1, b: 1 } })
      const there = standingThere(worker, 'has a', tx => tx.set({ session: { a: 2 } }))
      await there.entered
      const read = keys.transaction(tx => tx.get('session', ['a']))
      const written = keys.set({ session: { a: 3 } })
      assert.ok(await isPending(read) && await isPending(written))
      assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
      await soon('another record', keys.transaction(tx => tx.set({ session: { b: 2 } })))
      await soon('another record, plain', keys.set({ session: { b: 3, c: 1 } }))
      await there.leave()
      assert.deepEqual(await soon('the read', read), { a: 2 })
      await soon('the write', written)
      assert.deepEqual(await keys.get('session', ['a', 'b', 'c']), { a: 3, b: 3, c: 1 })
    })

    test('a record read by a worker is locked there: shared in a read-mostly family, exclusive elsewhere', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      await keys.set({ session: { a: 1 }, 'lid-mapping': { a: '1' } })
      const there = standingThere(worker, 'has read', async tx => { await tx.get('session', ['a']); await tx.get('lid-mapping', ['a']) })
      await there.entered
      assert.deepEqual(await soon('a shared read', keys.transaction(tx => tx.get('lid-mapping', ['a']))), { a: '1' })
      const blocked = [keys.transaction(tx => tx.set({ 'lid-mapping': { a: '2' } })), keys.transaction(tx => tx.get('session', ['a']))]
      assert.ok(await isPending(Promise.race(blocked)))
      assert.deepEqual(locksInWords(cask), ['record lid-mapping a shared <- exclusive', 'record session a exclusive <- exclusive'])
      await there.leave()
      await soon('both', Promise.all(blocked))
    })

    test('a family that a worker has listed does not change here before that transaction ends', async t => {
      const { keys, worker } = await sharingHere(t)
      await keys.set({ 'pre-key': { 1: { n: 1 } } })
      const there = standingThere(worker, 'has listed', async tx => { for await (const id of tx.listIds('pre-key')) void id })
      await there.entered
      const plain = keys.set({ 'pre-key': { 2: { n: 2 } } })
      const inside = keys.transaction(tx => tx.set({ 'pre-key': { 3: { n: 3 } } }))
      assert.ok(await isPending(plain) && await isPending(inside))
      await soon('another family', keys.set({ session: { 2: 1 } }))
      await there.leave()
      await soon('both', Promise.all([plain, inside]))
      assert.equal((await collect(keys.listIds('pre-key'))).length, 3)
    })

    test('an account that a worker clears is locked as a whole, and another account is not', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      await keys.set({ session: { a: 1 } })
      const there = standingThere(worker, 'has cleared', tx => tx.clear())
      await there.entered
      const blocked = [
        keys.set({ session: { new: 1 } }), keys.transaction(tx => tx.get('lid-mapping', ['x'])), keys.transaction(tx => collect(tx.list('session'))), keys.clear(),
      ]
      assert.ok(await isPending(Promise.race(blocked)))
      await soon('another account', cask.account('other').keys.transaction(tx => tx.set({ session: { a: 1 } })))
      await there.leave()
      await soon('all', Promise.all(blocked))
      assert.deepEqual(await keys.get('session', ['a']), {})
    })

    test('creds that a worker has set are waited for by saveCreds here, which is not lost', async t => {
      const { account, worker } = await sharingHere(t)
      const there = standingThere(worker, 'has set creds', tx => tx.setCreds({ from: 'there' }))
      await there.entered
      const saved = account.saveCreds({ from: 'here' })
      assert.ok(await isPending(saved))
      assert.equal(await account.loadCreds(), undefined)
      await there.leave()
      await soon('saveCreds', saved)
      assert.deepEqual(await account.loadCreds(), { from: 'here' })
    })

    test('those of several threads who wait for a lock get it in the order in which they came', async t => {
      const { cask, keys, workers } = await sharingHere(t, 3)
      const first = standingHere(t, keys, async () => {}, 'line')
      await first.entered
      const append = ({ kept }, who) => kept.keys.transaction(async tx => {
        const { line = [] } = await tx.get('other', ['line'])
        await tx.set({ other: { line: [...line, who] } })
      }, 'line')
      const order = [0, 2, 'here', 1, 'here', 0, 1, 'here', 2, 2, 0]
      const ended = []
      for (const [place, who] of order.entries()) {
        ended.push(who === 'here' ? append({ kept: { keys } }, who) : workers[who].run(append, who))
        await waiting(cask, place + 1)
      }
      await first.leave()
      await soon('the line', Promise.all(ended))
      assert.deepEqual(await keys.get('other', ['line']), { line: order })
    })

    test('readers of other threads do not overtake a writer for ever', async t => {
      const { cask, keys, workers } = await sharingHere(t, 2)
      const readers = workers.map((worker, n) => standingThere(worker, `reader ${n}`, tx => tx.get('device-list', ['a'])))
      // One that came late would stand in line behind the writer.
      await Promise.all(readers.map(reader => reader.entered))
      const writer = keys.set({ 'device-list': { a: ['0'] } })
      await waiting(cask, 1)
      const later = workers[1].run(({ kept }) => kept.keys.transaction(tx => tx.get('device-list', ['a'])))
      await readers[0].leave()
      await soon('the writer', Promise.all([readers[1].leave(), writer]))
      assert.deepEqual(await soon('the reader behind it', later), { a: ['0'] })
    })

    test('a plain set of another thread holds nothing while it waits, and is no deadlock\'s victim', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      const first = standingHere(t, keys, tx => tx.set({ session: { a: 'first' } }))
      await first.entered
      const set = worker.run(({ kept }) => kept.keys.set({ session: { a: 'plain', b: 'plain' }, other: { c: 'plain' } }))
      // It stands in line at all of its records.
      await waiting(cask, 3)
      assert.deepEqual(cask.locks().flatMap(({ holders }) => holders).map(({ thread }) => thread), [0])
      const both = standingHere(t, keys, async tx => { await tx.set({ session: { b: 'both' } }) })
      assert.ok(await isPending(both.entered), 'it came later, and waits behind the set')
      await first.leave()
      await soon('the set', set)
      await both.entered
      await both.leave()
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'plain', b: 'both' })
      assert.deepEqual(cask.locks(), [])
    })

    test('a holder may pass a plain set of another thread that waits for it', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      let set
      await soon('the transaction', keys.transaction(async tx => {
        await tx.set({ session: { a: 'here' } })
        set = worker.run(({ kept }) => kept.keys.set({ session: { a: 'plain', b: 'plain' } }))
        await waiting(cask, 2)
        await tx.set({ session: { b: 'here' } })
      }))
      await soon('the set', set)
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'plain', b: 'plain' })
    })

    test('isolation \'label\' takes its write locks at commit and waits for those of another thread', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      const here = standingHere(t, keys, tx => tx.set({ session: { a: 'here' } }))
      await here.entered
      const there = worker.run(({ kept }) => kept.keys.transaction(async tx => {
        await tx.get('session', ['a'])
        await tx.set({ session: { a: 'there', b: 'there' } })
      }, 'label', { isolation: 'label' }))
      await until('it waits', () => waiters(cask).some(({ label }) => label === 'label'))
      assert.deepEqual(await keys.get('session', ['a', 'b']), {})
      await here.leave()
      await soon('the commit', there)
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'there', b: 'there' })
    })

    test('an independent child in a worker commits at its own end; locks that nothing around it holds end with it', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      const there = worker.run(({ kept, gate, say }) => kept.keys.transaction(async tx => {
        await tx.set({ session: { parent: 1 } })
        await tx.transaction(inner => inner.set({ 'sender-key': { child: 1 } }), 'child', { nested: 'independent' })
        say('child has ended')
        await gate('leave')
        throw new Error('rolled back')
      }, 'parent'))
      there.catch(() => {})
      await worker.heard('child has ended')
      assert.deepEqual(await keys.get('sender-key', ['child']), { child: 1 })
      assert.deepEqual(locksInWords(cask), ['label parent exclusive', 'record session parent exclusive'])
      await soon('the label and the record of the child', keys.transaction(tx => tx.set({ 'sender-key': { child: 2 } }), 'child'))
      worker.open('leave')
      await assert.rejects(there, /rolled back/)
      assert.deepEqual([await keys.get('session', ['parent']), await keys.get('sender-key', ['child'])], [{}, { child: 2 }])
    })

    test('a time limit of one thread\'s handle ends its wait for another thread\'s lock', async t => {
      const options = optionsFor(t)
      const { cask, keys, worker } = await sharing(t, options)
      const here = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'here')
      await here.entered
      const codes = await soon('the limits', worker.run(async ({ openCask }, options) => {
        const { keys } = (await openCask({ ...options, lockTimeoutMs: 30 })).account()
        const calls = [keys.set({ session: { a: 2 } }), keys.transaction(tx => tx.get('session', ['a'])), keys.transaction(async () => {}, 'here')]
        return (await Promise.allSettled(calls)).map(({ reason }) => reason?.code)
      }, options))
      assert.deepEqual(codes, Array(3).fill('ERR_CASK_LOCK_TIMEOUT'))
      assert.deepEqual(waiters(cask), [])
      await here.leave()
    })
  })

  describe('circles across threads', () => {
    test('of two transactions that lock two records in opposite order the last to wait is refused, and says what it was about', async t => {
      for (const isLastHere of [true, false]) {
        const { cask, keys, worker } = await sharingHere(t)
        const there = worker.run(({ kept, gate, say }) => kept.keys.transaction(async tx => {
          await tx.set({ session: { b: 'there' } })
          say('has b')
          await gate('go')
          await tx.set({ session: { a: 'there' } })
        }, 'there'))
        there.catch(() => {})
        await worker.heard('has b')
        const here = keys.transaction(async tx => {
          await tx.set({ session: { a: 'here' } })
          if (isLastHere) {
            worker.open('go')
            await waiting(cask, 1)
          }
          const wait = tx.set({ session: { b: 'here' } })
          if (!isLastHere) worker.open('go')
          await wait
        }, 'here')
        here.catch(() => {})
        const [victim, other] = isLastHere ? [here, there] : [there, here]
        const name = isLastHere ? 'here' : 'there'
        const error = await soon('the victim', victim.catch(error => error))
        assert.deepEqual([error.name, error.code, error.retryable, error.label], ['CaskError', 'ERR_CASK_DEADLOCK', true, name])
        assert.deepEqual(error.records.map(({ account, type, id }) => `${account} ${type} ${id}`).sort(), ['default session a', 'default session b'])
        await soon('the other one', other)
        const winner = isLastHere ? 'there' : 'here'
        assert.deepEqual(await keys.get('session', ['a', 'b']), { a: winner, b: winner })
        assert.deepEqual(cask.locks(), [])
      }
    })

    test('a circle of three threads over label, record and another account is found', async t => {
      const { cask, keys, workers } = await sharingHere(t, 2)
      const one = workers[0].run(({ kept, gate, say }) => kept.keys.transaction(async tx => {
        say('one')
        await gate('go')
        await tx.get('session', ['a'])
      }, 'label'))
      const two = workers[1].run(({ kept, gate, say }) => kept.cask.account('other').keys.transaction(async tx => {
        await tx.set({ 'sender-key': { b: 1 } })
        say('two')
        await gate('go')
        await kept.keys.transaction(async () => {}, 'label')
      }))
      await Promise.all([workers[0].heard('one'), workers[1].heard('two')])
      const here = keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        workers.forEach(worker => worker.open('go'))
        await waiting(cask, 2)
        await cask.account('other').keys.transaction(inner => inner.get('sender-key', ['b']))
      }, 'here')
      await soon('the victim', assert.rejects(here, { code: 'ERR_CASK_DEADLOCK', label: 'here' }))
      await soon('the others', Promise.all([one, two]))
      assert.deepEqual(cask.locks(), [])
    })

    test('a parent counts as waiting for its running child: a circle through it takes the level that holds a lock of it', async t => {
      const { cask, keys, worker } = await sharingHere(t)
      const there = worker.run(({ kept, gate, say }) => kept.keys.transaction(async tx => {
        await tx.set({ session: { b: 1 } })
        say('has b')
        await gate('go')
        await tx.set({ session: { a: 'there' } })
      }))
      await worker.heard('has b')
      let inner
      const here = keys.transaction(async tx => {
        await tx.set({ session: { a: 'here' } })
        worker.open('go')
        await waiting(cask, 1)
        inner = tx.transaction(child => child.set({ session: { b: 2 } }), 'child')
        await inner.catch(() => {})
      }, 'parent')
      await soon('the parent', assert.rejects(here, { code: 'ERR_CASK_DEADLOCK', label: 'parent' }))
      await assert.rejects(inner, { code: 'ERR_CASK_DEADLOCK', label: 'parent' })
      await soon('the other thread', there)
      assert.deepEqual(await keys.get('session', ['a', 'b']), { a: 'there', b: 1 })
    })
  })

  describe('drop from another thread', () => {
    test('it dooms a transaction that stands still or waits: nothing is committed and its locks are free', async t => {
      const { cask, keys, account, worker } = await sharingHere(t)
      await keys.set({ session: { a: 1 } })
      const there = worker.run(async ({ kept, gate, say, openCask }) => {
        const codes = []
        const note = error => { codes.push(error.code); throw error }
        const idle = kept.keys.transaction(async tx => {
          await tx.set({ session: { a: 2 } })
          say('inside')
          await gate('dropped')
          await tx.get('session', ['b']).catch(note)
        }, 'label')
        const waits = kept.keys.transaction(async () => {}, 'label')
        const silent = kept.keys.transaction(async tx => { await tx.set({ session: { c: 2 } }); await gate('dropped') })
        const ends = await Promise.allSettled([idle, waits, silent])
        return [...codes, ...ends.map(({ reason }) => reason?.code)]
      })
      await worker.heard('inside')
      await waiting(cask, 1)
      await account.drop()
      const fresh = cask.account().keys
      await soon('the locks', fresh.transaction(tx => tx.set({ session: { a: 'fresh' } }), 'label'))
      assert.deepEqual(cask.locks(), [])
      worker.open('dropped')
      assert.deepEqual(await soon('the worker', there), Array(4).fill('ERR_CASK_DROPPED'))
      assert.deepEqual(await fresh.get('session', ['a', 'b', 'c']), { a: 'fresh' })
    })
  })

  test('four threads that increment shared and disjoint records lose nothing', async t => {
    const { keys, workers } = await sharingHere(t, 4)
    const [LANES, ROUNDS] = [4, 25]
    const counting = async ({ kept }, { lanes, rounds, own }) => {
      const { keys } = kept
      const increment = async (tx, id) => {
        const { [id]: n = 0 } = await tx.get('session', [id])
        await tx.set({ session: { [id]: n + 1 } })
      }
      const retried = async (work, label) => {
        for (;;) {
          try {
            return await keys.transaction(work, label)
          } catch (error) {
            if (error.code !== 'ERR_CASK_DEADLOCK') throw error
          }
        }
      }
      await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
        for (let n = 0; n < rounds; n++) {
          await keys.transaction(tx => increment(tx, own))
          await keys.transaction(tx => increment(tx, 'shared'), `label ${n % 3}`)
          // Two records, now in one order and now in the other.
          const [first, second] = n % 2 ? ['x', 'y'] : ['y', 'x']
          await retried(async tx => { await increment(tx, first); await tx.transaction(inner => increment(inner, second)) }, n % 5 ? undefined : 'pair')
          await keys.set({ other: { [`${own} ${lane} ${n}`]: n } })
        }
      }))
    }
    await within(60_000, 'the increments', Promise.all(workers.map((worker, n) => worker.run(counting, { lanes: LANES, rounds: ROUNDS, own: `own ${n}` }))))
    const [each, all] = [LANES * ROUNDS, 4 * LANES * ROUNDS]
    assert.deepEqual(await keys.get('session', ['shared', 'x', 'y', 'own 0', 'own 1', 'own 2', 'own 3']), {
      shared: all, x: all, y: all, 'own 0': each, 'own 1': each, 'own 2': each, 'own 3': each,
    })
    assert.equal((await collect(keys.listIds('other'))).length, all)
  })
})

describe('handles in another thread', () => {
  test('casks, accounts and keys cannot be sent: structured clone refuses their functions', async t => {
    const cask = await open(t)
    const { port1 } = new MessageChannel()
    t.after(() => port1.close())
    const account = cask.account()
    await account.keys.transaction(async tx => {
      for (const handle of [cask, account, account.keys, { keys: account.keys }, cask.account, account.keys.get, tx.get]) {
        assert.throws(() => port1.postMessage(handle), { name: 'DataCloneError' })
        assert.throws(() => structuredClone(handle), { name: 'DataCloneError' })
        assert.throws(() => new Worker('', { eval: true, workerData: handle }), { name: 'DataCloneError' })
      }
      assert.throws(() => port1.postMessage({}, [cask]), ({ name }) => name === 'TypeError' || name === 'DataCloneError')
    })
  })

  test('what arrives of a transaction\'s handle can do nothing, and the transaction goes on', async t => {
    const { keys } = (await open(t)).account()
    const worker = new Worker(`
      const { parentPort, workerData } = require('node:worker_threads')
      const words = [typeof workerData.get, typeof workerData.set, typeof workerData.transaction, typeof workerData.joined]
      parentPort.postMessage(words)`, { eval: true, workerData: await keys.transaction(tx => structuredClone(tx)) })
    assert.deepEqual((await soon('the worker', once(worker, 'message')))[0], Array(4).fill('undefined'))
    await keys.transaction(async tx => {
      structuredClone(tx)
      await turns()
      await tx.set({ session: { a: 1 } })
    })
    assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
  })

  test('a number that a handle might be made of is not among what can be seen of it', async t => {
    const cask = await open(t)
    await cask.account().keys.transaction(async tx => {
      for (const handle of [cask, cask.account(), cask.account().keys, tx]) {
        assert.deepEqual(Object.entries(handle).filter(([, value]) => typeof value === 'number'), [])
      }
      assert.deepEqual(Reflect.ownKeys(tx), [])
    })
  })
})
