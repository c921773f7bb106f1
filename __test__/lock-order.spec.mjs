// Who is served when, and what is left afterwards.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { collect, inEveryPlace, openKeys } from './helpers/casks.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, standing, waitedForIn } from './helpers/locks.mjs'
import { runScript } from './helpers/script.mjs'

const SOON_MS = 10_000

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)

  describe('first come, first served', () => {
    test('for one record: transactions that read, that write, and plain sets, in the order of their calls', async t => {
      const { cask, keys } = await openHere(t)
      const holder = standing(work => keys.transaction(work), tx => tx.get('session', ['a']))
      await holder.entered
      const order = []
      const calls = Array.from({ length: 24 }, (_, n) => {
        if (n % 3 === 0) return keys.set({ session: { a: n } }).then(() => order.push(n))
        return keys.transaction(async tx => {
          const { a } = await tx.get('session', ['a'])
          order.push(n)
          if (n % 3 === 1) assert.equal(a, n - 1, 'the plain set before it was served first')
          await turns(1)
          if (n % 3 === 2) await tx.set({ session: { a: n } })
        })
      })
      assert.ok(await isPending(Promise.race(calls)))
      assert.equal(waitedForIn(cask).length, 24)
      await holder.end()
      await within(SOON_MS, 'all', Promise.all(calls))
      // A plain set is told of its end a little later than the next one begins.
      const served = order.filter(n => n % 3 !== 0)
      assert.deepEqual(served, served.toSorted((a, b) => a - b))
      assert.equal(order.length, 24)
      assert.deepEqual(cask.locks(), [])
    })

    test('a reader waits behind a writer that waits, so that readers do not starve it; those behind the writer go on together', async t => {
      const { cask, keys } = await openHere(t)
      const read = tx => tx.get('lid-mapping', ['a'])
      const first = standing(work => keys.transaction(work), read)
      await first.entered
      const writer = standing(work => keys.transaction(work), tx => tx.set({ 'lid-mapping': { a: 'new' } }))
      const late = [standing(work => keys.transaction(work), read), standing(work => keys.transaction(work), read)]
      assert.ok(await isPending(Promise.race([writer.entered, ...late.map(({ entered }) => entered)])))
      assert.deepEqual(heldIn(cask), ['record lid-mapping a shared'])
      await first.end()
      await within(SOON_MS, 'the writer', writer.entered)
      assert.ok(await isPending(Promise.race(late.map(({ entered }) => entered))))
      await writer.end()
      await within(SOON_MS, 'both readers at once', Promise.all(late.map(({ entered }) => entered)))
      assert.deepEqual(heldIn(cask), ['record lid-mapping a shared', 'record lid-mapping a shared'])
      for (const { end } of late) await end()
    })

    test('readers that never rest do not keep a writer out, nor writers a reader', async t => {
      const { keys } = await openHere(t)
      let ended = false
      const loop = work => (async () => { while (!ended) await keys.transaction(async tx => { await work(tx); await turns(1) }) })()
      const read = tx => tx.get('device-list', ['a'])
      const write = tx => tx.set({ 'device-list': { a: 'x' } })
      for (const [stream, other] of [[read, write], [write, read]]) {
        ended = false
        const streams = Array.from({ length: 8 }, () => loop(stream))
        await turns()
        for (let n = 0; n < 10; n++) await within(SOON_MS, `the other one, beside ${stream}`, keys.transaction(other))
        ended = true
        await Promise.all(streams)
      }
    })

    test('a transaction that names ten records gets them among those that take one each and never rest', async t => {
      const { keys } = await openHere(t)
      let ended = false
      const ids = Array.from({ length: 10 }, (_, n) => `id ${n}`)
      const streams = ids.map(async id => { while (!ended) await keys.transaction(async tx => { await tx.get('session', [id]); await turns(1) }) })
      await turns()
      const records = ids.map(id => ({ type: 'session', id }))
      await within(SOON_MS, 'a get of ten', keys.transaction(tx => tx.get('session', ids)))
      await within(SOON_MS, 'a set of ten', keys.transaction(tx => tx.set({ session: Object.fromEntries(ids.map(id => [id, 1])) })))
      await within(SOON_MS, 'transactWith of ten', keys.transactWith({ records }, async () => {}))
      await within(SOON_MS, 'a plain set of ten', keys.set({ session: Object.fromEntries(ids.map(id => [id, 2])) }))
      await within(SOON_MS, 'a clear', keys.clear())
      ended = true
      await Promise.all(streams)
    })

    test('one that gave up waiting holds nobody up', async t => {
      const { cask, keys } = await openHere(t)
      const holder = standing(work => keys.transaction(work), tx => tx.get('lid-mapping', ['a']))
      await holder.entered
      const gaveUp = new AbortController()
      const writer = codeOf(keys.transaction(tx => tx.set({ 'lid-mapping': { a: 'x' } }), undefined, { signal: gaveUp.signal }))
      const reader = keys.transaction(tx => tx.get('lid-mapping', ['a']))
      assert.ok(await isPending(reader))
      gaveUp.abort()
      assert.equal(await writer, 'ERR_CASK_ABORTED')
      await within(SOON_MS, 'the reader behind it', reader)
      assert.deepEqual(waitedForIn(cask), [])
      await holder.end()
    })

    test('locks() has the waiters in the order of service', async t => {
      const { cask, keys } = await openHere(t)
      const holder = standing(work => keys.transaction(work, 'holder'), tx => tx.get('session', ['a']))
      await holder.entered
      const calls = ['one', 'two', 'three'].map(label => keys.transaction(tx => tx.get('session', ['a']), label))
      calls.push(keys.set({ session: { a: 1 } }))
      const { holders, waiters } = cask.locks().find(({ kind }) => kind === 'record')
      assert.deepEqual([holders.map(({ label }) => label), waiters.map(({ label }) => label)], [['holder'], ['one', 'two', 'three', undefined]])
      await holder.end()
      await Promise.all(calls)
    })
  })

  describe('transactWith', () => {
    const records = (...ids) => ids.map(id => ({ type: 'session', id }))

    test('has its records before its work begins, exclusively, whatever their family, and no label', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transactWith({ records: [...records('b', 'a'), { type: 'lid-mapping', id: '1' }, { type: 'other', id: 'x' }] }, async tx => {
        assert.deepEqual(heldIn(cask), ['record lid-mapping 1 exclusive', 'record other x exclusive', 'record session a exclusive', 'record session b exclusive'])
        await tx.get('session', ['a'])
        await tx.set({ session: { a: 1 } })
      })
      assert.deepEqual([await keys.get('session', ['a']), cask.locks()], [{ a: 1 }, []])
    })

    test('takes them in sorted order, whatever the order they are named in', async t => {
      const { cask, keys } = await openHere(t)
      const middle = standing(work => keys.transaction(work), tx => tx.get('session', ['b']))
      await middle.entered
      let begun = false
      const one = keys.transactWith({ records: records('c', 'b', 'a') }, async () => { begun = true })
      assert.ok(await isPending(one))
      assert.equal(begun, false)
      assert.deepEqual(heldIn(cask), ['record session a exclusive', 'record session b exclusive'])
      await middle.end()
      await one
      assert.equal(begun, true)
    })

    test('many that name the same records in any order, some of them twice, end without a deadlock', async t => {
      const { cask, keys } = await openHere(t)
      const ids = ['a', 'b', 'c', 'd']
      const codes = await within(SOON_MS, 'all', Promise.all(Array.from({ length: 60 }, (_, n) => codeOf(
        keys.transactWith({ records: records(...ids.slice(n % 4), ...ids.slice(0, n % 4), ids[n % 3]) }, async tx => {
          const { count = 0 } = await tx.get('session', ['count', 'a'])
          await turns(1)
          await tx.set({ session: { count: count + 1 } })
        })))))
      assert.deepEqual([...new Set(codes)], ['ended'])
      assert.deepEqual(await keys.get('session', ['count']), { count: 60 })
      assert.deepEqual(cask.locks(), [])
    })

    test('touching another record takes its lock too', async t => {
      const { cask, keys } = await openHere(t)
      const other = standing(work => keys.transaction(work), tx => tx.set({ session: { z: 1 } }))
      await other.entered
      const one = standing(work => keys.transactWith({ records: records('a') }, work), tx => tx.get('session', ['z']))
      assert.ok(await isPending(one.entered))
      await other.end()
      await one.entered
      assert.deepEqual(heldIn(cask), ['record session a exclusive', 'record session z exclusive'])
      await one.end()
    })

    test('inside another one it takes part like any transaction', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await tx.transactWith({ records: records('a', 'b') }, async inner => {
          assert.deepEqual(await inner.get('session', ['a']), { a: 1 })
          await inner.set({ session: { b: 2 } })
        })
        await keys.transactWith({ records: records('c') }, () => keys.set({ session: { c: 3 } }))
        assert.deepEqual(heldIn(cask), ['record session a exclusive', 'record session b exclusive', 'record session c exclusive'])
        assert.deepEqual(await tx.get('session', ['a', 'b', 'c']), { a: 1, b: 2, c: 3 })
      })
      assert.deepEqual(await keys.get('session', ['a', 'b', 'c']), { a: 1, b: 2, c: 3 })
    })

    test('as many records as are allowed: 65,536, one of which is held by another', async t => {
      const { cask, keys } = await openHere(t)
      const all = Array.from({ length: 65_536 }, (_, n) => ({ type: 'session', id: `id ${n}` }))
      const other = standing(work => keys.transaction(work), tx => tx.get('session', ['id 65535']))
      await other.entered
      const one = keys.transactWith({ records: all }, async tx => {
        await tx.set({ session: { 'id 65535': 1 } })
        return cask.locks().length
      })
      assert.ok(await isPending(one))
      await other.end()
      assert.equal(await within(SOON_MS, 'the large one', one), 65_536)
      assert.deepEqual(cask.locks(), [])
    })

    test('bad lists are refused before anything is locked, and doom nothing around them', async t => {
      const { cask, keys } = await openHere(t)
      const half = { type: 'session', id: '\ud800' }
      const bad = [
        undefined, null, {}, [], { records: undefined }, { records: [] }, { records: 'session' }, { records: { type: 'session', id: 'a' } }, { records: [null] }, { records: [undefined] },
        { records: ['a'] }, { records: [{}] }, { records: [{ type: 'session' }] }, { records: [{ id: 'a' }] }, { records: [{ type: 'session', id: 1 }] }, { records: [{ type: 'session', id: null }] },
        { records: [{ type: 1, id: 'a' }] }, { records: [{ type: '', id: 'a' }] }, { records: [...records('a'), half] }, { records: [{ type: 'x'.repeat(256), id: 'a' }] },
        { records: [{ type: '\ud800', id: 'a' }] }, { records: records('x'.repeat(70_000)) }, { records: Array.from({ length: 65_537 }, () => ({ type: 'session', id: 'a' })) },
      ]
      let begun = 0
      await keys.transaction(async tx => {
        for (const store of [tx, keys]) {
          for (const scope of bad) {
            await assert.rejects(store.transactWith(scope, async () => { begun++ }), error => {
              assert.ok(error instanceof TypeError || error instanceof RangeError, `${JSON.stringify(scope)?.slice(0, 80)}: ${error.stack}`)
              assert.equal(error.code, 'ERR_CASK_INVALID_ARGUMENT')
              return true
            })
          }
          for (const work of [undefined, null, 'work', {}]) await assert.rejects(store.transactWith({ records: records('a') }, work), { name: 'TypeError', argument: 'work' })
        }
        assert.deepEqual(cask.locks(), [])
        await tx.set({ other: { a: 1 } })
      })
      for (const scope of bad) await assert.rejects(keys.transactWith(scope, async () => { begun++ }), { code: 'ERR_CASK_INVALID_ARGUMENT' })
      assert.equal(begun, 0)
      assert.deepEqual([cask.locks(), await keys.get('other', ['a'])], [[], { a: 1 }])
    })
  })

  test('nothing is left in locks() after transactions of every kind and end', async t => {
    const { cask, keys } = await openHere(t)
    const kinds = [
      tx => tx.get('session', ['a', 'b']), tx => tx.set({ session: { a: 1 }, other: { b: 1 } }), tx => collect(tx.list('lid-mapping')), tx => tx.clear(), tx => tx.setCreds({ a: 1 }),
      tx => tx.transaction(inner => inner.get('session', ['c']), 'inner'), tx => tx.transaction(inner => inner.set({ session: { d: 1 } }), undefined, { nested: 'independent' }),
      tx => tx.transactWith({ records: [{ type: 'session', id: 'e' }] }, async () => {}), () => { throw new Error('thrown') }, tx => tx.set({ session: { a: NaN } }),
    ]
    const options = [undefined, { isolation: 'label' }, { nested: 'independent' }, { timeoutMs: 60_000 }, { signal: new AbortController().signal }]
    const all = Array.from({ length: 200 }, (_, n) => keys.transaction(kinds[n % kinds.length], n % 3 ? undefined : `label ${n % 4}`, options[n % 7]).catch(error => {
      assert.ok(/thrown|NaN/.test(error.message) || error.code === 'ERR_CASK_DEADLOCK', error.stack)
    }))
    for (let n = 0; n < 50; n++) all.push(keys.set({ session: { a: n, [n]: n } }))
    await within(SOON_MS, 'all', Promise.all(all))
    assert.deepEqual(cask.locks(), [])
  })
})

test('process.exit() while others hold locks and wait for them ends the process, and nothing else', async () => {
  for (const call of [
    'keys.transaction(tx => tx.get("session", ["a"]))', 'keys.transaction(async () => {}, "label")', 'keys.set({ session: { a: 1, b: 1 } })', 'keys.clear()', 'keys.transaction(tx => tx.set({ session: { a: 1 } }), undefined, { isolation: "label" })',
    'keys.transaction(tx => tx.transaction(inner => inner.get("session", ["a"])))', 'keys.transactWith({ records: [{ type: "session", id: "a" }, { type: "session", id: "b" }] }, async () => {})', 'cask.account().saveCreds({ a: 1 })',
  ]) {
    const { code, signal, stderr } = await runScript(`
      import { openCask } from 'baileys-cask'
      const cask = await openCask()
      const { keys } = cask.account()
      // Somebody has waited before, and was served.
      await Promise.all([1, 2, 3].map(() => keys.transaction(() => new Promise(setImmediate), 'label')))
      keys.transaction(async tx => {
        await tx.get('session', ['a'])
        await tx.setCreds({ a: 1 })
        await new Promise(() => {})
      }, 'label')
      for (let n = 0; n < 5; n++) ${call}
      for (let n = 0; n < 5; n++) await new Promise(setImmediate)
      process.exit(7)`)
    assert.deepEqual([code, signal, stderr], [7, null, ''], call)
  }
})

test('a million labels and records, each used once, leave nothing behind', async () => {
  // Newer V8 lets its young generation grow to 128 MB, which is none of ours.
  const { stdout, stderr, code } = await runScript(`
    import { openCask } from 'baileys-cask'
    const cask = await openCask()
    const { keys } = cask.account()
    const rss = () => { gc(); return process.memoryUsage().rss / 2 ** 20 }
    const use = async (from, to) => {
      for (let n = from; n < to; n += 500) {
        await Promise.all(Array.from({ length: 500 }, (_, i) => keys.transaction(async tx => { if (i % 5 === 0) await tx.get('session', ['id ' + (n + i)]) }, 'label ' + (n + i))))
      }
    }
    await use(0, 200_000)
    const before = rss()
    await use(200_000, 1_000_000)
    console.log(JSON.stringify({ grown: Math.round(rss() - before), locks: cask.locks().length }))`, { ms: 110_000, nodeArguments: ['--expose-gc', '--max-semi-space-size=16'] })
  assert.equal(code, 0, stderr)
  const { grown, locks } = JSON.parse(stdout)
  assert.equal(locks, 0)
  // 800,000 names alone would be more than twice that.
  assert.ok(grown < 30, `${grown} MB more`)
})
