import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { addTransactionCapability } from 'baileys'
import { collect, contents, inEveryPlace, open, recordsOf } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { standing } from './helpers/locks.mjs'
import { startWorker } from './helpers/remote.mjs'
import { runScript } from './helpers/script.mjs'

const ENDED = { name: 'CaskError', code: 'ERR_CASK_TRANSACTION_ENDED', retryable: false, message: /has ended; await everything/ }
const SOON_MS = 5000

/** A transaction that stands still inside its work until it is let go, and then does `after`. */
const labelled = (keys, label, after) => standing(work => keys.transaction(work, label), undefined, after)

inEveryPlace(place => {
  const openHere = async t => open(t, await place.optionsFor(t))
  const keysHere = async t => (await openHere(t)).account().keys

  describe('labels', () => {
    test('transactions of one label run one at a time, in the order of their calls', async t => {
      const keys = await keysHere(t)
      const order = []
      let inside = 0
      await Promise.all(Array.from({ length: 30 }, (_, n) => keys.transaction(async tx => {
        assert.equal(++inside, 1, 'two at once')
        order.push(n)
        const { count = 0 } = await tx.get('other', ['count'])
        if (n % 3) await turns(1)
        await tx.set({ other: { count: count + 1 } })
        inside--
      }, 'label')))
      assert.deepEqual(order, Array.from({ length: 30 }, (_, n) => n))
      assert.deepEqual(await keys.get('other', ['count']), { count: 30 })
    })

    test('the next of a label sees what the one before committed', async t => {
      const keys = await keysHere(t)
      const first = labelled(keys, 'label', tx => tx.set({ other: { a: 1 } }))
      await first.entered
      const second = keys.transaction(() => keys.get('other', ['a']), 'label')
      assert.ok(await isPending(second))
      first.leave()
      assert.deepEqual(await second, { a: 1 })
    })

    test('other labels, no label, other accounts and other casks run meanwhile', async t => {
      const cask = await openHere(t)
      const { keys } = cask.account('a')
      const first = labelled(keys, 'label')
      await first.entered
      const work = async tx => tx.isInTransaction()
      for (const other of [
        () => keys.transaction(work, 'other label'), () => keys.transaction(work, 'Label'), () => keys.transaction(work), () => keys.transaction(work, 'label\u0000'),
        () => cask.account('b').keys.transaction(work, 'label'), async () => (await openHere(t)).account('a').keys.transaction(work, 'label'),
      ]) assert.equal(await within(SOON_MS, String(other), other()), true)
      assert.ok(await isPending(keys.transaction(work, 'label')))
      first.leave()
      await first.ended
    })

    test('a lock is free again after a commit, a throw, and a refused call', async t => {
      const keys = await keysHere(t)
      await keys.transaction(async () => {}, 'label')
      await assert.rejects(keys.transaction(async () => { throw new Error('x') }, 'label'))
      await assert.rejects(keys.transaction(() => { throw new Error('x') }, 'label'))
      await assert.rejects(keys.transaction(tx => tx.set({ session: { a: NaN } }), 'label'))
      await within(SOON_MS, 'the label', keys.transaction(async () => {}, 'label'))
    })

    test('plain reads and writes do not wait for a label', async t => {
      const keys = await keysHere(t)
      const first = labelled(keys, 'label', tx => tx.set({ other: { a: 'tx' } }))
      await first.entered
      await within(SOON_MS, 'a plain set', keys.set({ other: { a: 'plain', b: 'plain' } }))
      assert.deepEqual(await keys.get('other', ['a']), { a: 'plain' })
      first.leave()
      await first.ended
      assert.deepEqual(await keys.get('other', ['a', 'b']), { a: 'tx', b: 'plain' })
    })
  })

  describe('reads', () => {
    test('a transaction sees its own writes, deletes and clears; nobody else does before its end', async t => {
      const keys = await keysHere(t)
      await keys.set({ session: { old: 1, changed: 1, removed: 1 }, 'sender-key': { other: 1 } })
      const step = gate()
      const staged = gate()
      const ended = keys.transaction(async tx => {
        await tx.set({ session: { changed: 2, fresh: 2, removed: null } })
        await keys.set({ session: { ambient: 2 }, 'sender-key': { big: Buffer.alloc(600_000, 3) } })
        for (const store of [tx, keys]) {
          assert.deepEqual(await store.get('session', ['old', 'changed', 'removed', 'fresh', 'ambient', 'absent']), { old: 1, changed: 2, fresh: 2, ambient: 2 })
          assert.deepEqual(await recordsOf(store, 'session'), [['ambient', 2], ['changed', 2], ['fresh', 2], ['old', 1]])
          assert.deepEqual((await collect(store.listIds('session'))).sort(), ['ambient', 'changed', 'fresh', 'old'])
          assert.ok((await store.get('sender-key', ['big', 'other'])).big.equals(Buffer.alloc(600_000, 3)))
        }
        await tx.set({ session: { removed: 3 } })
        assert.deepEqual(await tx.get('session', ['removed']), { removed: 3 })
        await keys.clear()
        await tx.set({ session: { after: 4 } })
        for (const store of [tx, keys]) {
          assert.deepEqual(await store.get('session', ['old', 'changed', 'after']), { after: 4 })
          assert.deepEqual([await collect(store.list('session')), await collect(store.listIds('sender-key'))], [[['after', 4]], []])
        }
        staged.open()
        await step.opened
      })
      await staged.opened
      assert.deepEqual(await recordsOf(keys, 'session'), [['changed', 1], ['old', 1], ['removed', 1]])
      step.open()
      await ended
      assert.deepEqual([await recordsOf(keys, 'session'), await recordsOf(keys, 'sender-key')], [[['after', 4]], []])
    })

    test('a delete of a record that was not read first is committed', async t => {
      const keys = await keysHere(t)
      await keys.set({ 'pre-key': { 1: { public: Buffer.alloc(3), private: Buffer.alloc(3) } } })
      await keys.transaction(tx => tx.set({ 'pre-key': { 1: null } }))
      assert.deepEqual(await keys.get('pre-key', ['1']), {})
    })

    test('a refused set inside stages nothing of itself and keeps what was staged before', async t => {
      const keys = await keysHere(t)
      await keys.transaction(async tx => {
        await tx.set({ other: { a: 1 } })
        await assert.rejects(tx.set({ other: { a: 2, b: 2 }, session: { x: NaN } }), TypeError)
        assert.deepEqual(await tx.get('other', ['a', 'b']), { a: 1 })
      })
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1]])
    })

    test('writes that were not awaited belong to the transaction', async t => {
      const keys = await keysHere(t)
      await keys.transaction(tx => {
        tx.set({ other: { a: 1 } })
        keys.set({ other: { b: 1 } })
      })
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1], ['b', 1]])
    })
  })

  describe('ends', () => {
    test('work may return anything, and its result comes back', async t => {
      const keys = await keysHere(t)
      const value = { some: 'thing' }
      assert.equal(await keys.transaction(async () => value), value)
      assert.equal(await keys.transaction(() => value, 'label'), value)
      assert.equal(await keys.transaction(() => {}), undefined)
    })

    for (const thrown of [new Error('mine'), 'a string', undefined, null, 0, Object.freeze({ frozen: true })]) {
      test(`a throw of ${typeof thrown} ${thrown} rolls back and comes out as it is`, async t => {
        const cask = await openHere(t)
        const { keys } = cask.account()
        await keys.set({ session: { a: 1 } })
        await cask.account().saveCreds({ n: 1 })
        const before = await contents(cask)
        for (const fail of [async () => { throw thrown }, () => { throw thrown }, () => Promise.reject(thrown)]) {
          let caught = 'nothing'
          await keys.transaction(async tx => {
            await tx.set({ session: { a: 2, b: 2 } })
            await keys.set({ session: { c: 3 } })
            await tx.clear()
            await tx.setCreds({ n: 2 })
            return fail()
          }, 'label').catch(error => (caught = error))
          assert.equal(caught, thrown)
          assert.deepEqual(await contents(cask), before)
        }
      })
    }

    test('every method of a transaction rejects after its end, committed or rolled back', async t => {
      const keys = await keysHere(t)
      await keys.set({ session: { a: 1, b: 1 } })
      for (const fail of [false, true]) {
        let tx
        let listing
        const end = keys.transaction(async given => {
          tx = given
          listing = tx.list('session')[Symbol.asyncIterator]()
          await listing.next()
          if (fail) throw new Error('rolled back')
        }, 'the label')
        await (fail ? assert.rejects(end, /rolled back/) : end)
        assert.equal(tx.isInTransaction(), false)
        const calls = [
          () => tx.get('session', ['a']), () => tx.get('session', []), () => tx.set({ session: { z: 1 } }), () => tx.set({}), () => tx.clear(), () => tx.setCreds({}),
          () => tx.transaction(async () => {}), () => tx.transaction(async () => {}, 'x'), () => collect(tx.list('session')), () => collect(tx.listIds('session')), () => listing.next(),
        ]
        for (const call of calls) await assert.rejects(call, { ...ENDED, label: 'the label' }, String(call))
      }
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1], ['b', 1]])
    })

    test('work that outlives a commit goes on as if outside', async t => {
      const keys = await keysHere(t)
      const committed = gate()
      let leftover
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        leftover = (async () => {
          await committed.opened
          assert.equal(keys.isInTransaction(), false)
          assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
          await keys.set({ session: { late: 2 } })
          await keys.transaction(async fresh => {
            assert.ok(keys.isInTransaction())
            await fresh.set({ session: { fresh: 3 } })
          }, 'label')
          await keys.clear().then(() => keys.set({ session: { cleared: 4 } }))
        })()
      }, 'label')
      committed.open()
      await leftover
      assert.deepEqual(await recordsOf(keys, 'session'), [['cleared', 4]])
    })

    test('writes of work that outlives a transaction are ordinary ones as soon as its commit has begun', async t => {
      const keys = await keysHere(t)
      let leftover
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        // The commit begins when this work ends, before the next turn of the event loop; with `power` it takes longer.
        leftover = new Promise(setImmediate).then(() => {
          assert.equal(keys.isInTransaction(), false)
          return keys.set({ session: { a: 2, during: 1 } })
        })
      })
      await leftover
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 2], ['during', 1]])
    })

    test('writes of work that outlives a rollback are refused; its reads and fresh transactions are not', async t => {
      const account = (await openHere(t)).account()
      const { keys } = account
      await keys.set({ session: { a: 1 } })
      const rolledBack = gate()
      let leftover
      const failing = keys.transaction(async tx => {
        await tx.set({ session: { a: 2 } })
        leftover = (async () => {
          await rolledBack.opened
          assert.equal(keys.isInTransaction(), false)
          assert.deepEqual(await keys.get('session', ['a']), { a: 1 })
          assert.deepEqual(await collect(keys.list('session')), [['a', 1]])
          await assert.rejects(keys.set({ session: { late: 1 } }), { ...ENDED, label: 'label' })
          await assert.rejects(keys.clear(), { ...ENDED, label: 'label' })
          await keys.transaction(fresh => fresh.set({ session: { fresh: 3 } }), 'label')
          await keys.transaction(() => keys.set({ session: { ambient: 3 } }), 'label')
          await account.saveCreds({ late: true })
        })()
        throw new Error('rolled back')
      }, 'label')
      await assert.rejects(failing, /rolled back/)
      rolledBack.open()
      await leftover
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 1], ['ambient', 3], ['fresh', 3]])
      assert.deepEqual(await account.loadCreds(), { late: true })
    })

    test('leftovers of one account are free to write to another', async t => {
      const cask = await openHere(t)
      const rolledBack = gate()
      let leftover
      await assert.rejects(cask.account('a').keys.transaction(async () => {
        leftover = rolledBack.opened.then(() => cask.account('b').keys.set({ session: { x: 1 } }))
        throw new Error('rolled back')
      }), /rolled back/)
      rolledBack.open()
      await leftover
      assert.deepEqual(await cask.accounts(), ['b'])
    })
  })

  describe('nesting', () => {
    test('an inner failure that is caught leaves the outer as it was', async t => {
      const keys = await keysHere(t)
      await keys.set({ other: { kept: 0, removed: 0 } })
      const mine = new Error('inner')
      await keys.transaction(async outer => {
        await outer.set({ other: { a: 1, removed: null } })
        await assert.rejects(keys.transaction(async inner => {
          assert.deepEqual(await inner.get('other', ['a', 'removed', 'kept']), { a: 1, kept: 0 })
          await inner.set({ other: { a: 2, b: 2, removed: 2 } })
          await inner.clear()
          await inner.setCreds({ inner: true })
          throw mine
        }, 'inner'), error => error === mine)
        assert.deepEqual(await outer.get('other', ['a', 'b', 'removed', 'kept']), { a: 1, kept: 0 })
        assert.deepEqual((await collect(outer.listIds('other'))).sort(), ['a', 'kept'])
        await outer.set({ other: { c: 3 } })
      }, 'outer')
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1], ['c', 3], ['kept', 0]])
    })

    test('inner writes are seen by the outer after the inner end, and by others only after the outer end', async t => {
      const keys = await keysHere(t)
      await keys.set({ other: { old: 0 } })
      const [innerEnded, leave] = [gate(), gate()]
      const ended = keys.transaction(async outer => {
        await outer.transaction(async inner => {
          await inner.clear()
          await inner.set({ other: { a: 1 } })
          await inner.transaction(deepest => deepest.set({ other: { deep: 1 } }))
        }, 'inner')
        assert.deepEqual(await outer.get('other', ['a', 'deep', 'old']), { a: 1, deep: 1 })
        assert.deepEqual((await collect(outer.listIds('other'))).sort(), ['a', 'deep'])
        innerEnded.open()
        await leave.opened
      }, 'outer')
      await innerEnded.opened
      assert.deepEqual(await recordsOf(keys, 'other'), [['old', 0]])
      leave.open()
      await ended
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1], ['deep', 1]])
    })

    test('an outer failure undoes inner transactions that had ended well', async t => {
      const keys = await keysHere(t)
      await assert.rejects(keys.transaction(async outer => {
        await keys.transaction(() => keys.set({ other: { inner: 1 } }), 'inner')
        await outer.set({ other: { outer: 1 } })
        throw new Error('outer')
      }), /outer/)
      assert.deepEqual(await recordsOf(keys, 'other'), [])
    })

    test('the label of an inner transaction is locked to the end of the outermost', async t => {
      const keys = await keysHere(t)
      const [innerEnded, leave] = [gate(), gate()]
      const outer = keys.transaction(async () => {
        await keys.transaction(async () => keys.set({ other: { a: 1 } }), 'inner')
        innerEnded.open()
        await leave.opened
      }, 'outer')
      await innerEnded.opened
      const other = keys.transaction(() => keys.get('other', ['a']), 'inner')
      assert.ok(await isPending(other), 'another transaction got the label before its writes were committed')
      leave.open()
      await outer
      assert.deepEqual(await other, { a: 1 })
    })

    test('the label of an inner transaction that failed is free at once', async t => {
      const keys = await keysHere(t)
      const [innerEnded, leave] = [gate(), gate()]
      const outer = keys.transaction(async () => {
        await keys.transaction(async () => { throw new Error('inner') }, 'inner').catch(() => {})
        innerEnded.open()
        await leave.opened
      }, 'outer')
      await innerEnded.opened
      await within(SOON_MS, 'the label of the failed one', keys.transaction(async () => {}, 'inner'))
      leave.open()
      await outer
    })

    test('an inner transaction may use the label of the outer', async t => {
      const keys = await keysHere(t)
      const count = await within(SOON_MS, 'the same label three deep', keys.transaction(
        () => keys.transaction(tx => tx.transaction(async () => (await keys.get('other', ['a'])) && 3, 'label'), 'label'), 'label'))
      assert.equal(count, 3)
      await within(SOON_MS, 'the label afterwards', keys.transaction(async () => {}, 'label'))
    })

    test('siblings under one label exclude each other and see each other\'s writes', async t => {
      const keys = await keysHere(t)
      let inside = 0
      await keys.transaction(async outer => {
        await Promise.all(Array.from({ length: 10 }, (_, n) => outer.transaction(async tx => {
          assert.equal(++inside, 1, 'two siblings at once')
          const { count = 0 } = await (n % 2 ? tx : keys).get('other', ['count'])
          await turns(1)
          await (n % 2 ? keys : tx).set({ other: { count: count + 1 } })
          inside--
        }, 'sibling')))
        assert.deepEqual(await outer.get('other', ['count']), { count: 10 })
      }, 'outer')
      assert.deepEqual(await keys.get('other', ['count']), { count: 10 })
    })

    test('siblings under different labels run at once, and one may fail alone', async t => {
      const keys = await keysHere(t)
      const [a, b] = [gate(), gate()]
      await within(SOON_MS, 'both siblings inside', keys.transaction(async outer => {
        const results = await Promise.allSettled([
          outer.transaction(async tx => { a.open(); await b.opened; await tx.set({ other: { a: 1 } }) }, 'a'),
          outer.transaction(async tx => { b.open(); await a.opened; await tx.set({ other: { b: 1 } }); throw new Error('b') }, 'b'),
        ])
        assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected'])
      }))
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1]])
    })

    test('an inner transaction that is not awaited is part of the commit', async t => {
      const keys = await keysHere(t)
      const first = labelled(keys, 'busy')
      await first.entered
      const outer = keys.transaction(tx => {
        tx.transaction(inner => inner.set({ other: { a: 1 } }), 'busy')
      })
      assert.ok(await isPending(outer))
      first.leave()
      await outer
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1]])
    })

    test('an inner transaction that still waits when the outer rolls back writes nothing and frees its label', async t => {
      const keys = await keysHere(t)
      const first = labelled(keys, 'busy')
      await first.entered
      let inner
      await assert.rejects(keys.transaction(tx => {
        inner = assert.rejects(tx.transaction(async inside => {
          await keys.set({ other: { ambient: 1 } })
          await inside.set({ other: { a: 1 } })
        }, 'busy'), { code: 'ERR_CASK_TRANSACTION_ENDED' })
        throw new Error('outer')
      }), /outer/)
      first.leave()
      await within(SOON_MS, 'the end of the inner one', inner)
      await within(SOON_MS, 'the label', keys.transaction(async () => {}, 'busy'))
      assert.deepEqual(await recordsOf(keys, 'other'), [])
    })

    test('calls of an inner transaction that still runs when the outer rolled back are refused', async t => {
      const keys = await keysHere(t)
      const [entered, go] = [gate(), gate()]
      let inner
      const outer = keys.transaction(async tx => {
        inner = tx.transaction(async inside => {
          entered.open()
          await go.opened
          await assert.rejects(inside.set({ other: { a: 1 } }), { code: 'ERR_CASK_TRANSACTION_ENDED' })
          await assert.rejects(inside.get('other', ['a']), { code: 'ERR_CASK_TRANSACTION_ENDED' })
          await assert.rejects(keys.set({ other: { b: 1 } }), { code: 'ERR_CASK_TRANSACTION_ENDED' })
        }, 'inner')
        inner.catch(() => {})
        await entered.opened
        throw new Error('outer')
      })
      await assert.rejects(outer, /outer/)
      go.open()
      await assert.rejects(inner, { code: 'ERR_CASK_TRANSACTION_ENDED' })
      assert.deepEqual(await recordsOf(keys, 'other'), [])
      await within(SOON_MS, 'the label', keys.transaction(async () => {}, 'inner'))
    })

    test('leftovers of an inner transaction that failed are refused while the outer goes on', async t => {
      const keys = await keysHere(t)
      await keys.transaction(async outer => {
        const rolledBack = gate()
        let leftover
        await assert.rejects(keys.transaction(async () => {
          leftover = rolledBack.opened.then(() => assert.rejects(keys.set({ other: { late: 1 } }), ENDED))
          throw new Error('inner')
        }, 'inner'), /inner/)
        rolledBack.open()
        await leftover
        await keys.set({ other: { a: 1 } })
        assert.deepEqual(await outer.get('other', ['a', 'late']), { a: 1 })
      })
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1]])
    })

    test('leftovers of an inner transaction that ended well take part in the outer', async t => {
      const keys = await keysHere(t)
      await assert.rejects(keys.transaction(async () => {
        const committed = gate()
        let leftover
        await keys.transaction(async () => {
          leftover = committed.opened.then(async () => {
            assert.ok(keys.isInTransaction())
            await keys.set({ other: { late: 1 } })
            assert.deepEqual(await keys.get('other', ['late']), { late: 1 })
          })
        }, 'inner')
        committed.open()
        await leftover
        assert.deepEqual(await keys.get('other', ['late']), { late: 1 })
        throw new Error('outer')
      }), /outer/)
      assert.deepEqual(await recordsOf(keys, 'other'), [])
    })

    test('transactions nest a hundred deep', async t => {
      const keys = await keysHere(t)
      const nest = async depth => {
        await keys.set({ other: { [depth]: depth } })
        if (depth < 100) await keys.transaction(() => nest(depth + 1), `label ${depth}`)
        assert.equal((await collect(keys.listIds('other'))).length, 100)
      }
      await keys.transaction(() => nest(1))
      assert.equal((await collect(keys.listIds('other'))).length, 100)
    })
  })

  describe('accounts and creds', () => {
    test('a transaction of another account inside commits on its own, and each account sees its own', async t => {
      const cask = await openHere(t)
      const [a, b] = [cask.account('a').keys, cask.account('b').keys]
      await assert.rejects(a.transaction(async () => {
        await a.set({ other: { of: 'a' } })
        assert.deepEqual([a.isInTransaction(), b.isInTransaction()], [true, false])
        await b.set({ other: { plain: 1 } })
        await b.transaction(async tx => {
          assert.deepEqual([a.isInTransaction(), b.isInTransaction()], [true, true])
          await b.set({ other: { of: 'b' } })
          await a.set({ other: { inside: 'b' } })
          assert.deepEqual([await tx.get('other', ['of']), await a.get('other', ['of', 'inside'])], [{ of: 'b' }, { of: 'a', inside: 'b' }])
          // The innermost transaction of its own account, not the innermost of all.
          await a.transaction(() => a.set({ other: { nested: 1 } }), 'label')
        }, 'label')
        assert.deepEqual(await recordsOf(b, 'other'), [['of', 'b'], ['plain', 1]])
        throw new Error('a')
      }, 'label'), /^Error: a$/)
      assert.deepEqual([await recordsOf(a, 'other'), await recordsOf(b, 'other')], [[], [['of', 'b'], ['plain', 1]]])
    })

    test('accounts of one name in two casks are different accounts', async t => {
      const [a, b] = [await keysHere(t), await keysHere(t)]
      await assert.rejects(a.transaction(async () => {
        assert.equal(b.isInTransaction(), false)
        await b.set({ other: { x: 1 } })
        await b.transaction(() => Promise.all([a.set({ other: { y: 1 } }), b.set({ other: { z: 1 } })]), 'label')
        throw new Error('a')
      }, 'label'), /^Error: a$/)
      assert.deepEqual([await recordsOf(a, 'other'), await recordsOf(b, 'other')], [[], [['x', 1], ['z', 1]]])
    })

    test('saveCreds inside a transaction is committed at once and survives its rollback', async t => {
      const account = (await openHere(t)).account()
      await assert.rejects(account.keys.transaction(async tx => {
        await tx.set({ 'pre-key': { 1: 1 } })
        await account.saveCreds({ nextPreKeyId: 2 })
        assert.deepEqual(await account.loadCreds(), { nextPreKeyId: 2 })
        throw new Error('rolled back')
      }), /rolled back/)
      assert.deepEqual([await account.loadCreds(), await recordsOf(account.keys, 'pre-key')], [{ nextPreKeyId: 2 }, []])
    })

    test('setCreds comes with the commit and goes with a rollback', async t => {
      const account = (await openHere(t)).account()
      await account.saveCreds({ n: 1 })
      const [staged, leave] = [gate(), gate()]
      const ended = account.keys.transaction(async tx => {
        await tx.setCreds({ n: 2, key: Buffer.alloc(3, 1) })
        await tx.clear()
        staged.open()
        await leave.opened
      })
      await staged.opened
      assert.deepEqual(await account.loadCreds(), { n: 1 })
      leave.open()
      await ended
      assert.deepEqual(await account.loadCreds(), { n: 2, key: Buffer.alloc(3, 1) }, 'clear is not for creds')
      await assert.rejects(account.keys.transaction(async tx => {
        await tx.setCreds({ n: 3 })
        throw new Error('rolled back')
      }), /rolled back/)
      assert.deepEqual(await account.loadCreds(), { n: 2, key: Buffer.alloc(3, 1) })
    })

    test('drop inside a transaction of the account is refused and changes nothing', async t => {
      const cask = await openHere(t)
      const account = cask.account('a')
      await account.keys.set({ other: { a: 1 } })
      await account.keys.transaction(async tx => {
        await tx.set({ other: { b: 1 } })
        await assert.rejects(account.drop(), { name: 'CaskError', code: 'ERR_CASK_INVALID_ARGUMENT', account: 'a', message: /drop it after/ })
        await assert.rejects(account.keys.transaction(() => account.drop(), 'inner'), { code: 'ERR_CASK_INVALID_ARGUMENT' })
        await cask.account('b').drop()
      }, 'label')
      assert.deepEqual(await recordsOf(account.keys, 'other'), [['a', 1], ['b', 1]])
    })

    test('drop from outside ends the transactions of the account: nothing of them is committed', async t => {
      const cask = await openHere(t)
      const account = cask.account('a')
      const [entered, dropped] = [gate(), gate()]
      const running = account.keys.transaction(async tx => {
        await tx.set({ other: { a: 1 } })
        entered.open()
        await dropped.opened
        await assert.rejects(tx.set({ other: { b: 1 } }), { code: 'ERR_CASK_DROPPED' })
        await assert.rejects(tx.get('other', ['a']), { code: 'ERR_CASK_DROPPED' })
      }, 'label')
      await entered.opened
      const refused = assert.rejects(running, { code: 'ERR_CASK_DROPPED', account: 'a' })
      await account.drop()
      await within(SOON_MS, 'the end of the transaction, whose work still runs', refused)
      dropped.open()
      assert.deepEqual(await cask.accounts(), [])
      await within(SOON_MS, 'the label', cask.account('a').keys.transaction(async () => {}, 'label'))
    })
  })

  describe('circles', () => {
    /** Takes `first`, and when both sides have theirs, `second`. */
    const crossing = (keys, first, second, mine, others) => keys.transaction(async () => {
      mine.open()
      await Promise.all(others.map(({ opened }) => opened))
      await keys.transaction(() => keys.set({ other: { [`${first}${second}`]: 1 } }), second)
    }, first)

    test('two transactions that wait for each other\'s label: one is refused, both end, and a retry succeeds', async t => {
      const keys = await keysHere(t)
      const [a, b] = [gate(), gate()]
      const results = await within(SOON_MS, 'the end of both', Promise.allSettled([crossing(keys, 'a', 'b', a, [b]), crossing(keys, 'b', 'a', b, [a])]))
      const refused = results.filter(({ status }) => status === 'rejected')
      assert.equal(refused.length, 1)
      const { reason } = refused[0]
      assert.deepEqual([reason.name, reason.code, reason.retryable], ['CaskError', 'ERR_CASK_DEADLOCK', true])
      assert.ok(['a', 'b'].includes(reason.label) && /retry the transaction/.test(reason.message))
      assert.equal((await recordsOf(keys, 'other')).length, 1)
      await within(SOON_MS, 'a retry', crossing(keys, 'a', 'b', gate(), []))
      await within(SOON_MS, 'and the other way around', crossing(keys, 'b', 'a', gate(), []))
    })

    test('a circle of five labels is found', async t => {
      const keys = await keysHere(t)
      const gates = Array.from({ length: 5 }, gate)
      const results = await within(SOON_MS, 'the end of all', Promise.allSettled(gates.map((mine, n) => crossing(keys, `l${n}`, `l${(n + 1) % 5}`, mine, gates))))
      assert.deepEqual(results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.code), ['ERR_CASK_DEADLOCK'])
    })

    test('a circle through a parent that waits for its children is found', async t => {
      const keys = await keysHere(t)
      const [first, second] = [gate(), gate()]
      const one = keys.transaction(tx => Promise.all([
        tx.transaction(async () => { first.open(); await second.opened }, 'a'),
        first.opened.then(() => tx.transaction(async () => {}, 'b')),
      ]))
      const other = keys.transaction(async tx => {
        second.open()
        await first.opened
        await tx.transaction(async () => {}, 'a')
      }, 'b')
      const results = await within(SOON_MS, 'the end of both', Promise.allSettled([one, other]))
      const codes = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.code)
      assert.ok(codes.length <= 1 && codes.every(code => code === 'ERR_CASK_DEADLOCK'), codes.join())
    })

    test('what looks like a circle and is none is left alone', async t => {
      const keys = await keysHere(t)
      // Both take the labels in the same order; one waits, none is refused.
      const work = () => keys.transaction(() => keys.transaction(async () => {}, 'b'), 'a')
      await within(SOON_MS, 'the end of all', Promise.all(Array.from({ length: 20 }, work)))
      // A sibling waits for a label that its own parent holds by another child.
      await within(SOON_MS, 'the end of siblings', keys.transaction(tx => Promise.all([
        tx.transaction(() => tx.transaction(async () => {}, 'b'), 'a'), tx.transaction(async () => {}, 'b'), tx.transaction(async () => {}, 'a'),
      ])))
    })
  })

  describe('closing', () => {
    test('close waits for running transactions and lets them finish; what begins after is refused', async t => {
      const options = await place.optionsFor(t)
      const cask = await open(t, options)
      const account = cask.account()
      const { keys } = account
      const [entered, leave, closing] = [gate(), gate(), gate()]
      const running = keys.transaction(async tx => {
        entered.open()
        await leave.opened
        await tx.set({ other: { a: 1 } })
        await keys.set({ other: { b: 1 } })
        await keys.transaction(() => keys.set({ other: { c: 1 } }), 'inner')
        assert.deepEqual((await collect(keys.listIds('other'))).sort(), ['a', 'b', 'c'])
        await account.saveCreds({ inside: true })
        closing.open()
      }, 'label')
      const waiting = keys.transaction(() => keys.set({ other: { waited: 1 } }), 'label')
      await entered.opened
      const closed = cask.close()
      assert.ok(await isPending(closed))
      await assert.rejects(keys.transaction(async () => {}), { code: 'ERR_CASK_CLOSED' })
      await assert.rejects(keys.set({ other: { outside: 1 } }), { code: 'ERR_CASK_CLOSED' })
      leave.open()
      await Promise.all([running, waiting, closed])
      if (!place.isFile) return
      const again = (await open(t, options)).account()
      assert.deepEqual(await recordsOf(again.keys, 'other'), [['a', 1], ['b', 1], ['c', 1], ['waited', 1]])
      assert.deepEqual(await again.loadCreds(), { inside: true })
    })

    test('close inside a transaction of the cask is refused, and the transaction goes on', async t => {
      const cask = await openHere(t)
      const other = await openHere(t)
      const { keys } = cask.account()
      await keys.transaction(async tx => {
        await tx.set({ other: { a: 1 } })
        for (const close of [cask.close, () => keys.transaction(() => cask.close(), 'inner'), () => cask[Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]()]) {
          await assert.rejects(close, { name: 'CaskError', code: 'ERR_CASK_INVALID_ARGUMENT', message: /would wait for itself; close it after/ })
        }
        await assert.rejects(other.account().keys.transaction(() => cask.close()), { code: 'ERR_CASK_INVALID_ARGUMENT' })
        await other.close()
      })
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1]])
    })

    test('work that outlived its transaction may close the cask', async t => {
      for (const fail of [false, true]) {
        const cask = await openHere(t)
        const ended = gate()
        let leftover
        await cask.account().keys.transaction(async () => {
          leftover = ended.opened.then(() => cask.close())
          if (fail) throw new Error('rolled back')
        }).catch(() => {})
        ended.open()
        await within(SOON_MS, 'close', leftover)
        await assert.rejects(cask.accounts(), { code: 'ERR_CASK_CLOSED' })
      }
    })
  })

  describe('the ambient context', () => {
    test('it reaches through timers, events and callbacks that begin inside, and not those from outside', async t => {
      const keys = await keysHere(t)
      const outside = new EventEmitter()
      let fromOutside
      const outsideTick = setInterval(() => (fromOutside = keys.isInTransaction()), 1)
      t.after(() => clearInterval(outsideTick))
      await keys.transaction(async () => {
        const emitter = new EventEmitter()
        emitter.on('event', () => keys.set({ other: { event: keys.isInTransaction() } }))
        emitter.emit('event')
        await sleep(1)
        assert.ok(keys.isInTransaction())
        await new Promise(resolve => setImmediate(() => process.nextTick(() => queueMicrotask(resolve))))
        assert.ok(keys.isInTransaction())
        setTimeout(() => outside.emit('inside', keys.isInTransaction()), 1)
        assert.deepEqual(await once(outside, 'inside'), [true])
        fromOutside = undefined
        while (fromOutside === undefined) await sleep(1)
        assert.equal(fromOutside, false)
        assert.deepEqual(await keys.get('other', ['event']), { event: true })
      })
      assert.equal(keys.isInTransaction(), false)
    })

    test('after a wait for a lock the work is in its own transaction and the caller in none', async t => {
      const keys = await keysHere(t)
      const first = labelled(keys, 'label')
      await first.entered
      const other = gate()
      const second = keys.transaction(async tx => {
        await tx.set({ other: { a: 1 } })
        return [keys.isInTransaction(), await keys.get('other', ['a'])]
      }, 'label').then(result => [...result, keys.isInTransaction()])
      const third = keys.transaction(async () => other.opened)
      await turns()
      first.leave()
      assert.deepEqual(await second, [true, { a: 1 }, false])
      other.open()
      await third
    })

    test('the handle works where the context does not reach', async t => {
      const keys = await keysHere(t)
      const requests = new EventEmitter()
      requests.on('write', (tx, done) => {
        // This listener may run in any context; the handle is what counts.
        tx.set({ other: { a: 1 } }).then(() => tx.get('other', ['a'])).then(done)
      })
      await keys.transaction(tx => new Promise(resolve => requests.emit('write', tx, resolve)))
      assert.deepEqual(await keys.get('other', ['a']), { a: 1 })
    })

    test('concurrent transactions do not see each other\'s staged writes', async t => {
      const keys = await keysHere(t)
      const all = gate()
      let entered = 0
      await Promise.all(Array.from({ length: 8 }, (_, n) => keys.transaction(async () => {
        await keys.set({ [`family ${n}`]: { [n]: n } })
        if (++entered === 8) all.open()
        await all.opened
        assert.deepEqual(await recordsOf(keys, `family ${n}`), [[String(n), n]])
        assert.deepEqual(await keys.get('family of nobody', [String(n)]), {})
      }, `label ${n}`)))
      assert.equal((await recordsOf(keys, 'family 7')).length, 1)
    })
  })

  describe('behind Baileys\' own addTransactionCapability', () => {
    const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {} }
    const wrapped = keys => addTransactionCapability(keys, silent, { maxCommitRetries: 1, delayBetweenTriesMs: 1 })

    test('get, set and transaction work as on any store', async t => {
      const keys = await keysHere(t)
      const baileys = wrapped(keys)
      await baileys.set({ session: { a: { n: 1 }, gone: { n: 0 } }, 'lid-mapping': { 1: '2' } })
      assert.deepEqual(await baileys.get('session', ['a', 'absent']), { a: { n: 1 } })
      await baileys.transaction(async () => {
        await baileys.set({ session: { a: { n: 2 }, gone: null } })
        assert.deepEqual((await baileys.get('session', ['a'])).a, { n: 2 })
        assert.deepEqual(await keys.get('session', ['a']), { a: { n: 1 } }, 'nothing is written before the commit')
        await baileys.transaction(() => baileys.set({ 'sender-key': { s: Buffer.from([1]) } }), 'inner')
      }, 'label')
      assert.deepEqual([await recordsOf(keys, 'session'), await recordsOf(keys, 'sender-key')], [[['a', { n: 2 }]], [['s', Buffer.from([1])]]])
      await assert.rejects(baileys.transaction(async () => {
        await baileys.set({ session: { a: { n: 3 } } })
        throw new Error('rolled back')
      }, 'label'), /rolled back/)
      assert.deepEqual(await keys.get('session', ['a']), { a: { n: 2 } })
    })

    test('increments under one label are all counted, by both', async t => {
      const keys = await keysHere(t)
      for (const [name, store] of Object.entries({ ours: keys, baileys: wrapped(keys) })) {
        await Promise.all(Array.from({ length: 40 }, () => store.transaction(async () => {
          const { [name]: { n } = { n: 0 } } = await store.get('session', [name])
          await turns(1)
          await store.set({ session: { [name]: { n: n + 1 } } })
        }, 'label')))
        assert.deepEqual((await keys.get('session', [name]))[name], { n: 40 })
      }
    })

    // rc14 does not lock the labels of nested transactions: `migrateSession` and `relayMessage` meet on one session.
    test('increments under nested labels are all counted by ours', async t => {
      const keys = await keysHere(t)
      await Promise.all(Array.from({ length: 40 }, (_, n) => keys.transaction(() => keys.transaction(async () => {
        const { a: { n } = { n: 0 } } = await keys.get('session', ['a'])
        await turns(1)
        await keys.set({ session: { a: { n: n + 1 } } })
      }, 'the session'), `outer ${n}`)))
      assert.deepEqual(await keys.get('session', ['a']), { a: { n: 40 } })
    })
  })
})

describe('one process', () => {
  // Here no wait that begins closes a circle, but handing the lock to the first in the queue would. One of both is refused, or
  // nobody, where the one behind goes first. In a thread of its own, since a wait without end keeps a process alive.
  test('a circle that would close when a lock is granted leaves nobody waiting', async t => {
    const worker = await startWorker(t)
    const codes = await within(SOON_MS, 'the end of both', worker.run(async ({ openCask }) => {
      const turns = async () => { for (let i = 0; i < 5; i++) await new Promise(setImmediate) }
      const { keys } = (await openCask()).account()
      let leave
      const holder = keys.transaction(() => new Promise(resolve => (leave = resolve)), 'k')
      let go
      const behind = keys.transaction(async tx => {
        await new Promise(resolve => (go = resolve))
        await tx.transaction(async () => {}, 'k')
      }, 'l')
      await turns()
      const ahead = keys.transaction(tx => Promise.all([tx.transaction(async () => {}, 'k'), tx.transaction(async () => {}, 'l')]))
      await turns()
      go()
      await turns()
      leave()
      await holder
      const results = await Promise.allSettled([behind, ahead])
      return results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.code)
    }))
    assert.ok(codes.length <= 1 && codes.every(code => code === 'ERR_CASK_DEADLOCK'), codes.join())
  })

  test('there is one AsyncLocalStorage, however many casks are open', async () => {
    const { stdout, stderr } = await runScript(`
      import { createRequire, syncBuiltinESMExports } from 'node:module'
      const require = createRequire(import.meta.url)
      const hooks = require('node:async_hooks')
      let made = 0
      // Newer runtimes have a getter there.
      Object.defineProperty(hooks, 'AsyncLocalStorage', { value: class extends hooks.AsyncLocalStorage { constructor(...args) { super(...args); made++ } } })
      const { openCask } = require('baileys-cask')
      for (let n = 0; n < 50; n++) {
        const { keys } = (await openCask()).account('a' + n)
        await keys.transaction(() => keys.transaction(() => keys.set({ other: { a: 1 } }), 'inner'), 'label')
      }
      console.log(made)`)
    assert.equal(stdout.trim(), '1', stderr)
  })

  test('a failure that nobody waits for is not swallowed', async () => {
    for (const call of [
      'keys.transaction(() => { throw new Error("nobody waits") })', 'keys.transaction(async () => { throw new Error("nobody waits") }, "label")',
      'keys.transaction(async tx => { tx.transaction(async () => { throw new Error("nobody waits") }) })',
      'keys.set({ session: { "nobody waits": NaN } })', 'cask.close(); cask.flush().catch(() => { throw new Error("nobody waits") })',
    ]) {
      const { code, stderr } = await runScript(`
        import { openCask } from 'baileys-cask'
        const cask = await openCask()
        const { keys } = cask.account()
        ${call}`)
      assert.equal(code, 1, `${call} failed in silence`)
      assert.match(stderr, /nobody waits/)
    }
  })

  test('work begins in the call where nothing has to be waited for', async t => {
    const { keys } = (await open(t)).account()
    let begun = false
    const ended = keys.transaction(async () => (begun = true), 'label')
    assert.equal(begun, true)
    await ended
  })

  test('a commit that the system refuses rolls back, says why, and frees the label', async t => {
    if (process.platform === 'win32') return t.skip('no ulimit')
    const path = newPath(t)
    const { stdout, stderr } = await runScript(`
      import { openCask } from 'baileys-cask'
      const cask = await openCask({ path: ${JSON.stringify(path)} })
      const account = cask.account()
      const { keys } = account
      await keys.set({ other: { a: 1 } })
      let leftover
      let ended
      const failed = new Promise(resolve => (ended = resolve))
      const codes = []
      await keys.transaction(async tx => {
        await tx.setCreds({ torn: true })
        await tx.set({ other: { a: 2 }, 'sender-key': { huge: Buffer.alloc(300_000, 1) } })
        leftover = failed.then(() => keys.set({ other: { late: 1 } })).catch(error => codes.push(error.code))
      }, 'label').catch(error => codes.push(error.code, error.retryable))
      ended()
      await leftover
      await keys.transaction(tx => tx.set({ other: { b: 1 } }), 'label')
      console.log(JSON.stringify({ codes, other: await keys.get('other', ['a', 'b', 'late']), creds: await account.loadCreds() ?? null }))`, { shell: 'ulimit -f 64' })
    assert.ok(stdout, stderr)
    assert.deepEqual(JSON.parse(stdout), { codes: ['ERR_CASK_IO', true, 'ERR_CASK_TRANSACTION_ENDED'], other: { a: 1, b: 1 }, creds: null })
  })
})
