import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { contents } from './helpers/casks.mjs'
import { until, within } from './helpers/gate.mjs'
import { ENDS, SHARED, lockedAfterExit, locksInWords, partiesOf, sharing, standingHere, standingThere, waiters } from './helpers/threads.mjs'

const SOON_MS = 10_000
/** Measured: below 1. The rest is for slow machines. */
const FREE_WITHIN_MS = 500

/** A cask with something in it, open here and in a worker. */
async function filled(t, options, count) {
  const shared = await sharing(t, options, count)
  await shared.keys.set({ session: { a: 'kept', b: 'kept' }, 'pre-key': { 1: { n: 1 } }, 'lid-mapping': { 1: '2' } })
  await shared.account.saveCreds({ kept: true })
  await shared.cask.account('other').keys.set({ session: { a: 'kept' } })
  return { ...shared, before: await contents(shared.cask) }
}

/** Ends the worker, and holds it to what is promised; `after` runs when it has gone, before the cask is looked at. */
async function endsWithoutTrace({ cask, worker, before }, end, after = async () => {}) {
  assert.ok(partiesOf(cask, worker.thread).length > 0, 'it takes part')
  const took = await lockedAfterExit(cask, worker, end)
  assert.ok(took < FREE_WITHIN_MS, `free only ${took} ms after the exit event`)
  await after()
  await within(SOON_MS, 'the flush', cask.flush())
  assert.deepEqual(cask.locks(), [])
  assert.deepEqual(await contents(cask), before)
}

/** Holds a label, a record and the creds, and stands still. */
const BLOCKER = async tx => {
  await tx.set({ session: { a: 'lost' } })
  await tx.setCreds({ lost: true })
}

/** Calls of a worker that wait for the blocker; none of what they write may show. */
const WAITS = {
  'a transaction that waits for its label': ({ keys }) => keys.transaction(tx => tx.set({ session: { x: 'lost' } }), 'line'),
  'a transaction that waits for a record that it reads': ({ keys }) => keys.transaction(async tx => {
    await tx.set({ session: { b: 'lost' } })
    await tx.get('session', ['a'])
  }),
  'a transaction that waits for one of the records that it writes': ({ keys }) => keys.transaction(tx => tx.set({ session: { '0': 'lost', a: 'lost', z: 'lost' } })),
  'a transactWith that waits': ({ keys }) => {
    const records = ['0', 'a', 'z'].map(id => ({ type: 'session', id }))
    return keys.transactWith({ records }, tx => tx.set({ session: { z: 'lost' } }))
  },
  'a transaction that waits for a family': ({ keys }) => keys.transaction(async tx => {
    await tx.set({ session: { b: 'lost' } })
    for await (const id of tx.listIds('session')) void id
  }),
  'a transaction that waits to clear': ({ keys }) => keys.transaction(async tx => {
    await tx.set({ 'pre-key': { 1: null } })
    await tx.clear()
  }),
  'a transaction that waits for the creds': ({ keys }) => keys.transaction(async tx => {
    await tx.set({ session: { b: 'lost' } })
    await tx.setCreds({ lost: true })
  }),
  'a commit that waits': ({ keys }) => keys.transaction(tx => tx.set({ session: { '0': 'lost', a: 'lost', z: 'lost' } }), 'own', { isolation: 'label' }),
  'a child that waits': ({ keys }) => keys.transaction(async tx => {
    await tx.set({ session: { b: 'lost' } })
    await tx.transaction(inner => inner.set({ session: { a: 'lost' } }), 'child')
  }, 'parent'),
  'an independent child that waits': ({ keys }) => keys.transaction(async tx => {
    await tx.set({ session: { b: 'lost' } })
    await tx.transaction(async inner => {
      await inner.set({ session: { z: 'lost' } })
      await inner.set({ session: { a: 'lost' } })
    }, 'child', { nested: 'independent' })
  }, 'parent'),
  'a transaction inside that of another account, waiting': ({ cask, keys }) => cask.account('other').keys.transaction(async tx => {
    await tx.set({ session: { a: 'lost' } })
    await keys.transaction(inner => inner.set({ session: { a: 'lost' } }))
  }),
  'a plain set that waits': ({ keys }) => keys.set({ session: { a: 'lost', z: 'lost' }, 'pre-key': { 1: null } }),
  'a plain set of many records that waits': ({ keys }) => {
    const many = Array.from({ length: 600 }, (_, n) => [n ? `many ${n}` : 'a', 'lost'])
    return keys.set({ session: Object.fromEntries(many) })
  },
  'a clear that waits': ({ keys }) => keys.clear(),
  'a saveCreds that waits': ({ account }) => account.saveCreds({ lost: true }),
  'a saveCreds inside a transaction that waits': ({ keys, account }) => keys.transaction(async tx => {
    await tx.set({ session: { b: 'lost' } })
    await account.saveCreds({ lost: true })
  }),
}

for (const [place, optionsFor] of Object.entries(SHARED)) describe(place, () => {
  // The place makes a difference for what is written, and the way to end for what a thread still runs: not every combination is needed.
  const ends = place === 'in memory' ? ENDS : { 'is terminated': ENDS['is terminated'] }
  for (const [how, end] of Object.entries(ends)) describe(`a worker that ${how} leaves nothing of`, () => {
    for (const [what, call] of Object.entries(WAITS)) {
      if (how === 'is terminated') test(`${what} for a transaction of another thread`, async t => {
        const shared = await filled(t, optionsFor(t))
        const { cask, keys, worker } = shared
        const blocker = standingHere(t, keys, BLOCKER, 'line')
        await blocker.entered
        worker.run(`({ kept }) => (${call})(kept)`).catch(() => {})
        await until('it waits', () => waiters(cask).length > 0)
        // What waited must not be done when the lock gets free either. The blocker's own writes are undone, for the comparison.
        await endsWithoutTrace(shared, end, () => assert.rejects(blocker.fail(new Error('undone')), /undone/))
      })

      test(`${what} for a transaction of its own`, async t => {
        const shared = await filled(t, optionsFor(t))
        const { cask, worker } = shared
        await standingThere(worker, 'blocks', BLOCKER, 'line').entered
        worker.run(`({ kept }) => (${call})(kept)`).catch(() => {})
        await until('it waits', () => waiters(cask).length > 0)
        await endsWithoutTrace(shared, end)
      })
    }

    test('a transaction that stands still in its work with locks of every kind, and whoever waits for them goes on', async t => {
      const shared = await filled(t, optionsFor(t))
      const { cask, keys, account, worker } = shared
      await standingThere(worker, 'inside', async (tx, { cask }) => {
        await tx.set({ session: { a: 'lost', z: 'lost' } })
        await tx.get('lid-mapping', ['1'])
        for await (const id of tx.listIds('pre-key')) void id
        await tx.setCreds({ lost: true })
        void cask.account('other').keys.transaction(async inner => {
          await inner.clear()
          await new Promise(() => {})
        }, 'other')
      }, 'line').entered
      assert.deepEqual(locksInWords(cask), [
        'account exclusive', 'creds exclusive', 'family pre-key shared', 'label line exclusive', 'label other exclusive', 'record lid-mapping 1 shared',
        'record session a exclusive', 'record session z exclusive',
      ])
      const calls = [
        keys.transaction(async () => {}, 'line'), keys.transaction(tx => tx.get('session', ['a'])), keys.set({ session: { a: 'kept' } }),
        keys.transactWith({ records: [{ type: 'lid-mapping', id: '1' }] }, async () => {}), keys.set({ 'pre-key': { 1: { n: 1 } } }),
        account.saveCreds({ kept: true }), cask.account('other').keys.set({ session: { a: 'kept' } }), cask.account('other').keys.transaction(async () => {}, 'other'),
      ]
      await until('all of them wait', () => waiters(cask).length === calls.length)
      await endsWithoutTrace(shared, end, () => within(FREE_WITHIN_MS, 'those who waited', Promise.all(calls)))
    })

    test('children at work and at rest', async t => {
      const shared = await filled(t, optionsFor(t))
      const { cask, worker } = shared
      worker.run(({ kept, say, gate }) => kept.keys.transaction(async tx => {
        await tx.set({ session: { a: 'lost' } })
        await tx.transaction(inner => inner.set({ 'sender-key': { ended: 'lost' } }), 'ended')
        const one = tx.transaction(async inner => {
          await inner.set({ 'sender-key': { one: 'lost' } })
          say('one')
          await inner.transaction(() => gate('never'), 'deep')
        }, 'one')
        const two = tx.transaction(inner => inner.set({ 'sender-key': { one: 'lost' } }), 'two')
        const three = tx.transaction(async () => { await gate('never') }, 'three', { nested: 'independent' })
        // The parent's own call waits for its child.
        await Promise.all([one, two, three, tx.get('sender-key', ['one'])])
      }, 'parent')).catch(() => {})
      await worker.heard('one')
      await until('two of them wait', () => waiters(cask).length === 2)
      await endsWithoutTrace(shared, end)
    })
  })

  test('what an independent child has committed before its thread ended stays', async t => {
    const shared = await filled(t, optionsFor(t))
    const { keys, worker } = shared
    await standingThere(worker, 'inside', async tx => {
      await tx.set({ session: { a: 'lost' } })
      await tx.transaction(inner => inner.set({ 'sender-key': { a: 'stays' } }), 'child', { nested: 'independent' })
    }).entered
    shared.before.default.records['sender-key'] = [['a', 'stays']]
    await endsWithoutTrace(shared, ENDS['is terminated'])
    assert.deepEqual(await keys.get('sender-key', ['a']), { a: 'stays' })
  })

  test('a worker that has nothing left to do but stands still in a transaction ends by itself, without a trace', async t => {
    const shared = await filled(t, optionsFor(t))
    await standingThere(shared.worker, 'inside', BLOCKER, 'line').entered
    await endsWithoutTrace(shared, worker => void worker.run(({ stopListening }) => stopListening()).catch(() => {}))
    assert.deepEqual(await shared.worker.ended, { code: 0, signal: undefined })
  })

  test('a worker that is terminated in work that never yields, and one that closes its cask', async t => {
    const shared = await filled(t, optionsFor(t), 2)
    const [busy, closing] = shared.workers
    busy.run(({ kept, say }) => kept.keys.transaction(async tx => {
      await tx.set({ session: { a: 'lost' } })
      say('inside')
      await new Promise(setImmediate)
      for (;;);
    }, 'busy')).catch(() => {})
    await busy.heard('inside')
    await standingThere(closing, 'inside', tx => tx.set({ session: { b: 'lost' } }), 'closing').entered
    closing.run(({ kept, say }) => { say('closes'); return kept.cask.close() }).catch(() => {})
    await closing.heard('closes')
    const took = await lockedAfterExit(shared.cask, busy, ENDS['is terminated'])
    assert.ok(took < FREE_WITHIN_MS)
    assert.deepEqual(locksInWords(shared.cask), ['label closing exclusive', 'record session b exclusive'], 'the other thread keeps what it has')
    await endsWithoutTrace({ ...shared, worker: closing }, ENDS['is terminated'])
  })

  test('a commit that is under way when its thread is terminated is there whole or not at all, and its locks are free', async t => {
    const { cask, keys, workers } = await sharing(t, optionsFor(t), 6)
    for (const [n, worker] of workers.entries()) {
      worker.run(({ kept, say }, n) => kept.keys.transaction(async tx => {
        await tx.set({ session: { [`${n} a`]: Buffer.alloc(100_000, n), [`${n} b`]: { n } } })
        await tx.setCreds({ n })
        say('commits')
      }, 'line'), n).catch(() => {})
      await worker.heard('commits')
      await worker.terminate()
      await worker.ended
      await until('its locks are free', () => partiesOf(cask, worker.thread).length === 0)
      await within(SOON_MS, 'the label', keys.transaction(async () => {}, 'line'))
      const found = Object.keys(await keys.get('session', [`${n} a`, `${n} b`])).length
      assert.ok(found === 0 || found === 2, `${found} of 2 records`)
      assert.equal((await cask.account().loadCreds())?.n === n, found === 2)
    }
    assert.deepEqual(cask.locks(), [])
  })

  test('a lock that is handed to a thread while it is terminated is not lost', async t => {
    const { cask, keys, workers } = await sharing(t, optionsFor(t), 8)
    for (const [n, worker] of workers.entries()) {
      const holder = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'line')
      await holder.entered
      for (let i = 0; i < 3; i++) worker.run(({ kept }) => kept.keys.transaction(tx => tx.get('session', ['a']), 'line')).catch(() => {})
      worker.run(({ kept }) => kept.keys.set({ session: { a: 2 } })).catch(() => {})
      await until('they wait', () => waiters(cask).length === 4)
      // Now one of both is first, and now the other.
      const ended = n % 2 ? [holder.leave(), worker.terminate()] : [worker.terminate(), holder.leave()]
      await within(SOON_MS, 'the holder', Promise.all([...ended, worker.ended]))
      await within(SOON_MS, 'the label and the record', keys.transaction(tx => tx.get('session', ['a']), 'line'))
    }
    assert.deepEqual(cask.locks(), [])
  })
})

test('every load of the package in a worker gives back what it holds, and none writes what waited for another load', async t => {
  const options = SHARED['in memory']()
  const shared = await filled(t, options)
  const { cask, worker } = shared
  await worker.run(async ({ loadAgain, kept }, options) => {
    const loads = [kept.keys]
    for (let n = 1; n < 3; n++) loads.push((await loadAgain().openCask(options)).account().keys)
    const held = loads.map((keys, n) => new Promise(resolve => void keys.transaction(async tx => {
      await tx.set({ session: { [`of ${n}`]: 'lost' } })
      resolve()
      await new Promise(() => {})
    }, `load ${n}`)))
    await Promise.all(held)
    // In a ring: whichever of them ends first, there is one that waits for it.
    loads.forEach((keys, n) => void keys.set({ session: { [`of ${(n + 1) % loads.length}`]: 'lost', [`by ${n}`]: 'lost' } }))
  }, options)
  assert.equal(waiters(cask).length, 6, 'three sets wait at two records each')
  await endsWithoutTrace(shared, ENDS['is terminated'])
})
