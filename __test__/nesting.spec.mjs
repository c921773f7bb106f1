// Transactions inside each other that join: locks, writes, ends.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, inFolders, open, openKeys, recordsOf } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, read, standing, waitedForIn, write } from './helpers/locks.mjs'

const SOON_MS = 5000
const ENDED = 'ERR_CASK_TRANSACTION_ENDED'

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)

  describe('locks inside', () => {
    test('a child may take what only those around it hold, whatever the mode and the kind', async t => {
      const { keys } = await openHere(t)
      const all = async tx => {
        await tx.get('session', ['a'])
        await tx.get('lid-mapping', ['a'])
        await tx.set({ 'lid-mapping': { b: 'x' }, session: { b: 1 } })
        await collect(tx.listIds('tctoken'))
        await tx.setCreds({ a: 1 })
      }
      await within(SOON_MS, 'three levels', keys.transaction(async outer => {
        await all(outer)
        await outer.transaction(async middle => {
          await all(middle)
          await middle.set({ 'lid-mapping': { a: 'upgraded' }, tctoken: { fresh: 1 } })
          await middle.transaction(async inner => {
            await all(inner)
            await inner.clear()
            await all(inner)
          }, 'label')
        }, 'label')
      }, 'label'))
    })

    test('a child does not take what one around it shares with a stranger: it waits for that one', async t => {
      const { keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), tx => tx.get('lid-mapping', ['a']))
      await stranger.entered
      const parent = keys.transaction(async tx => {
        await tx.get('lid-mapping', ['a'])
        await tx.transaction(inner => inner.set({ 'lid-mapping': { a: 'x' } }))
      })
      assert.ok(await isPending(parent))
      await stranger.end()
      await within(SOON_MS, 'the parent', parent)
    })

    for (const [what, one, other = one] of [
      ['a record', read('a')], ['a record, written', write('a')], ['a record of several', tx => tx.get('session', ['a', 'b']), tx => tx.set({ session: { b: 1, c: 1 } })], ['a label', tx => tx.transaction(() => turns(1), 'l')],
      ['a shared record that one writes', tx => tx.get('lid-mapping', ['a']), tx => tx.set({ 'lid-mapping': { a: 'x' } })], ['a family that one writes into', tx => collect(tx.list('session')), write('z')],
      ['the account', tx => tx.clear(), read('a')], ['the creds', tx => tx.setCreds({ a: 1 })],
    ]) {
      test(`siblings exclude each other: ${what}, also where the parent holds it`, async t => {
        const { keys } = await openHere(t)
        for (const before of [async () => {}, one]) {
          await within(SOON_MS, 'the parent', keys.transaction(async tx => {
            await before(tx)
            const first = standing(work => tx.transaction(work), one)
            await first.entered
            const second = tx.transaction(other)
            assert.ok(await isPending(second))
            await first.end()
            await second
          }))
        }
      })
    }

    test('siblings share what they only read of a read-mostly family', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        const first = standing(work => tx.transaction(work), inner => inner.get('device-list', ['a']))
        await first.entered
        await within(SOON_MS, 'the sibling', tx.transaction(inner => inner.get('device-list', ['a'])))
        await first.end()
      })
    })

    test('cousins exclude each other until their parents have ended, then their grandparent\'s other children may', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        const branch = standing(work => tx.transaction(async middle => { await middle.transaction(write('a', 1)); await work(middle) }))
        await branch.entered
        const cousin = tx.transaction(middle => middle.transaction(read('a')))
        assert.ok(await isPending(cousin), 'the one that wrote it has ended, its parent has not')
        await branch.end()
        assert.deepEqual(await cousin, { a: 1 })
      })
    })

    test('on success locks pass to the parent, on failure those that it alone took are free', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.get('session', ['parent'])
        await tx.transaction(async inner => { await inner.get('session', ['good']); await inner.get('lid-mapping', ['good']) }, 'good')
        const good = ['label good exclusive', 'record lid-mapping good shared', 'record session good exclusive', 'record session parent exclusive']
        assert.deepEqual(heldIn(cask), good)
        await tx.transaction(async inner => {
          await inner.get('session', ['bad', 'parent', 'good'])
          await inner.set({ 'lid-mapping': { good: 'x' } })
          await inner.transaction(deeper => deeper.get('session', ['deeper']), 'deeper')
          await collect(inner.listIds('tctoken'))
          throw new Error('bad')
        }, 'bad').catch(() => {})
        assert.deepEqual(heldIn(cask), good, 'the parent has what it had, in the modes in which it had it')
        await within(SOON_MS, 'strangers', detached(() => Promise.all([
          keys.transaction(async () => {}, 'bad'), keys.transaction(async () => {}, 'deeper'), keys.transaction(read('bad')), keys.transaction(read('deeper')), keys.set({ tctoken: { a: 1 } }), keys.transaction(inner => inner.get('lid-mapping', ['good'])),
        ])))
      })
      assert.deepEqual(cask.locks(), [])
    })

    test('a stranger waits for the outermost, a sibling only for the child', async t => {
      const { keys } = await openHere(t)
      const leave = gate()
      const [sibling, ended] = [gate(), gate()]
      const outer = keys.transaction(async tx => {
        const child = standing(work => tx.transaction(work), write('a', 'child'))
        await child.entered
        tx.transaction(read('a')).then(sibling.open)
        await ended.opened
        await child.end()
        await leave.opened
      })
      const stranger = keys.transaction(read('a'))
      assert.ok(await isPending(Promise.race([sibling.opened, stranger])))
      ended.open()
      assert.deepEqual(await within(SOON_MS, 'the sibling', sibling.opened), { a: 'child' })
      assert.ok(await isPending(stranger))
      leave.open()
      await outer
      assert.deepEqual(await stranger, { a: 'child' })
    })
  })

  describe('a parent\'s own call while a child runs', () => {
    const calls = {
      get: tx => tx.get('session', ['a']), set: tx => tx.set({ session: { a: 'parent' } }), delete: tx => tx.set({ session: { a: null } }), list: tx => collect(tx.list('session')), clear: tx => tx.clear(),
    }
    for (const [what, call] of Object.entries(calls)) {
      for (const [how, before] of [['that it has not touched before', async () => {}], ['that it has read before', read('a')], ['that it has written before', write('a', 'before')], ['of a family that it has listed before', tx => collect(tx.listIds('session'))], ['that it has cleared before', tx => tx.clear()]]) {
        test(`${what} of a record ${how} waits for the child that holds it`, async t => {
          const { keys } = await openHere(t)
          await keys.set({ session: { a: 'committed' } })
          await within(SOON_MS, 'the parent', keys.transaction(async tx => {
            await before(tx)
            const child = standing(work => tx.transaction(work), write('a', 'child'), read('a'))
            afterwards(t, child.leave)
            await child.entered
            const own = call(tx)
            assert.ok(await isPending(own), 'it did not wait')
            assert.deepEqual(await child.end(), { a: 'child' }, 'what the child had written changed under it')
            const found = await own
            if (what === 'get') assert.deepEqual(found, { a: 'child' })
            if (what === 'list') assert.deepEqual(found, [['a', 'child']])
          }))
          const expected = { get: { a: 'child' }, list: { a: 'child' }, set: { a: 'parent' }, delete: {}, clear: {} }
          assert.deepEqual(await keys.get('session', ['a']), expected[what])
        })
      }
    }

    test('of other records does not wait', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        const child = standing(work => tx.transaction(work, 'child'), write('a'))
        await child.entered
        await within(SOON_MS, 'its own calls', Promise.all([tx.get('session', ['b']), tx.set({ session: { c: 1 } }), collect(tx.list('other')), tx.setCreds({ a: 1 }), tx.transaction(read('d'))]))
        await child.end()
      })
    })

    test('of a record that a failed child held goes on, and finds what was there before', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 'parent' } })
        const child = standing(work => tx.transaction(work), write('a', 'child'), () => { throw new Error('child') })
        afterwards(t, child.leave)
        await child.entered
        const own = tx.get('session', ['a'])
        assert.ok(await isPending(own))
        await assert.rejects(child.end(), /^Error: child$/)
        assert.deepEqual(await own, { a: 'parent' })
      })
    })

    test('a grandparent\'s too, and it waits for the whole branch', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        const branch = standing(work => tx.transaction(async middle => { await middle.transaction(write('a', 'deep')); await work(middle) }))
        await branch.entered
        const own = tx.get('session', ['a'])
        assert.ok(await isPending(own))
        await branch.end()
        assert.deepEqual(await own, { a: 'deep' })
      })
    })
  })

  describe('writes inside', () => {
    test('a failed child leaves the parent as before it began: sets, deletes, clears and creds, on every level', async t => {
      const { cask, keys } = await openHere(t)
      const account = cask.account()
      await keys.set({ session: { committed: 0, both: 0 }, other: { committed: 0 } })
      const seen = async tx => [await recordsOf(tx, 'session'), await recordsOf(tx, 'other')]
      await keys.transaction(async tx => {
        await tx.set({ session: { both: 1, parent: 1 }, other: { committed: null } })
        await tx.setCreds({ parent: 1 })
        const before = await seen(tx)
        for (const fail of [
          async inner => { await inner.set({ session: { both: 2, committed: null, parent: null, fresh: 2 }, other: { committed: 2 } }) },
          async inner => { await inner.clear() },
          async inner => { await inner.clear(); await inner.set({ session: { after: 2 } }); await inner.setCreds({ inner: 2 }) },
          async inner => { await inner.transaction(deeper => deeper.clear()); await inner.transaction(deeper => deeper.set({ session: { deep: 3 } })) },
          async inner => { await inner.transaction(async deeper => { await deeper.clear(); throw new Error('deeper') }).catch(() => {}); await inner.set({ other: { x: 1 } }) },
        ]) {
          await assert.rejects(tx.transaction(async inner => { await fail(inner); throw new Error('inner') }), /^Error: inner$/)
          assert.deepEqual(await seen(tx), before)
        }
      })
      assert.deepEqual(await seen(keys), [[['both', 1], ['committed', 0], ['parent', 1]], []])
      assert.deepEqual(await account.loadCreds(), { parent: 1 })
    })

    test('a child sees its ancestors\' writes, hides them with its own, and passes those on', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { a: 0, b: 0, c: 0, d: 0 } })
      await keys.transaction(async one => {
        await one.set({ session: { a: 1, b: 1, e: 1 } })
        await one.transaction(async two => {
          assert.deepEqual(await two.get('session', ['a', 'b', 'c', 'e']), { a: 1, b: 1, c: 0, e: 1 })
          await two.set({ session: { b: null, c: 2 } })
          await two.transaction(async three => {
            assert.deepEqual(await recordsOf(three, 'session'), [['a', 1], ['c', 2], ['d', 0], ['e', 1]])
            await three.clear()
            assert.deepEqual(await recordsOf(three, 'session'), [])
            await three.set({ session: { b: 3 } })
          })
          assert.deepEqual(await recordsOf(two, 'session'), [['b', 3]])
          await two.set({ session: { a: 2 } })
        })
        assert.deepEqual(await recordsOf(one, 'session'), [['a', 2], ['b', 3]])
        await one.set({ session: { c: 1 } })
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 2], ['b', 3], ['c', 1]])
    })

    test('strangers see nothing of it before the outermost commit, and then all of it', async t => {
      const { keys } = await openHere(t)
      const outer = standing(work => keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await tx.transaction(inner => inner.set({ session: { inner: 1 } }))
        await tx.transaction(inner => inner.transaction(deeper => deeper.set({ 'lid-mapping': { deep: '1' } })))
        await work(tx)
      }))
      await outer.entered
      assert.deepEqual([await recordsOf(keys, 'session'), await recordsOf(keys, 'lid-mapping')], [[], []])
      await outer.end()
      assert.deepEqual([await recordsOf(keys, 'session'), await recordsOf(keys, 'lid-mapping')], [[['inner', 1], ['outer', 1]], [['deep', '1']]])
    })
  })

  describe('ends', () => {
    test('the commit waits for every child that runs, also those begun meanwhile and deeper ones', async t => {
      const { keys } = await openHere(t)
      const gates = [gate(), gate(), gate()]
      const outer = keys.transaction(tx => {
        tx.transaction(async inner => {
          await gates[0].opened
          await inner.set({ session: { a: 1 } })
          tx.transaction(async late => { await gates[1].opened; await late.set({ session: { b: 1 } }) })
          inner.transaction(async deep => { await gates[2].opened; await deep.set({ session: { c: 1 } }) })
        })
        return 'done'
      })
      for (const { open } of gates) {
        assert.ok(await isPending(outer))
        open()
      }
      assert.equal(await within(SOON_MS, 'the outer one', outer), 'done')
      assert.deepEqual((await recordsOf(keys, 'session')).map(([id]) => id), ['a', 'b', 'c'])
    })

    test('a child that failed and that nobody awaited does not fail the parent', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        tx.transaction(async inner => { await inner.set({ session: { a: 1 } }); throw new Error('child') }).catch(() => {})
        await tx.set({ session: { b: 1 } })
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['b', 1]])
    })

    test('a rollback dooms the children that run or wait, at every depth: their calls are refused and their locks free', async t => {
      const { cask, keys } = await openHere(t)
      const blocker = standing(work => keys.transaction(work), read('busy'))
      await blocker.entered
      const go = gate()
      const children = []
      const refused = []
      await assert.rejects(keys.transaction(async tx => {
        const entered = gate()
        children.push(tx.transaction(inner => inner.transaction(async deep => {
          await deep.set({ session: { deep: 1 } })
          entered.open()
          await go.opened
          for (const call of [() => deep.get('session', ['a']), () => deep.set({ session: { late: 1 } }), () => inner.set({ session: { late: 1 } }), () => keys.set({ session: { late: 1 } }), () => deep.transaction(async () => {})]) {
            refused.push(await codeOf(call()))
          }
        })))
        children.push(tx.transaction(read('busy')), tx.get('session', ['busy']))
        for (const child of children) child.catch(() => {})
        await entered.opened
        await turns()
        assert.equal(waitedForIn(cask).length, 2)
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual(heldIn(cask), ['record session busy exclusive'])
      assert.deepEqual(waitedForIn(cask), [])
      go.open()
      for (const child of children) assert.equal(await within(SOON_MS, 'a child', codeOf(child)), ENDED)
      assert.deepEqual(refused, Array(5).fill(ENDED))
      await blocker.end()
      assert.deepEqual(await recordsOf(keys, 'session'), [])
      assert.deepEqual(cask.locks(), [])
    })

    test('a child that ends well after its parent rolled back commits nothing', async t => {
      const { keys } = await openHere(t)
      const go = gate()
      let child
      await assert.rejects(keys.transaction(async tx => {
        const entered = gate()
        child = codeOf(tx.transaction(async inner => { await inner.set({ session: { a: 1 } }); entered.open(); await go.opened }))
        await entered.opened
        throw new Error('outer')
      }), /^Error: outer$/)
      go.open()
      assert.equal(await child, ENDED)
      assert.deepEqual(await recordsOf(keys, 'session'), [])
    })
  })

  describe('another account inside', () => {
    test('commits by itself, keeps its locks until its own end only, and stays when the one around it fails', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      await assert.rejects(a.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await b.transaction(async inner => {
          await inner.set({ session: { b: 1 } })
          await inner.transaction(deeper => deeper.set({ session: { c: 1 } }), 'label')
          assert.equal(inner.joined, false)
        }, 'label')
        assert.deepEqual(heldIn(cask), ['record session a exclusive'])
        assert.deepEqual(await detached(() => recordsOf(b, 'session')), [['b', 1], ['c', 1]])
        throw new Error('a')
      }), /^Error: a$/)
      assert.deepEqual([await recordsOf(a, 'session'), await recordsOf(b, 'session'), cask.locks()], [[], [['b', 1], ['c', 1]], []])
    })

    test('fails alone', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      await a.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await assert.rejects(b.transaction(async inner => { await inner.set({ session: { b: 1 } }); throw new Error('b') }), /^Error: b$/)
      })
      assert.deepEqual([await recordsOf(a, 'session'), await recordsOf(b, 'session')], [[['a', 1]], []])
    })

    test('a second one of its own account, inside one of another, is a child of the first', async t => {
      const { cask } = await openHere(t)
      const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
      await assert.rejects(a.transaction(async tx => {
        await tx.set({ session: { a: 1 } })
        await b.transaction(async () => {
          await a.transaction(async inner => {
            assert.deepEqual(await inner.get('session', ['a']), { a: 1 })
            await inner.set({ session: { a: 2 } })
          })
          assert.deepEqual(await tx.get('session', ['a']), { a: 2 })
          await b.set({ session: { b: 1 } })
        })
        throw new Error('a')
      }), /^Error: a$/)
      assert.deepEqual([await recordsOf(a, 'session'), await recordsOf(b, 'session')], [[], [['b', 1]]])
    })
  })
})

inFolders(place => {
  test('the outermost commit is one batch on disk: opened again there is all of it, or after a rollback nothing', async t => {
    const options = await place.optionsFor(t)
    const cask = await open(t, options)
    const { keys } = cask.account()
    await keys.set({ session: { gone: 1, kept: 1 } })
    const work = async tx => {
      await tx.set({ session: { outer: 1, gone: null } })
      await tx.transaction(async inner => {
        await inner.set({ session: { inner: 1 }, 'lid-mapping': { inner: '1' } })
        await inner.transaction(deep => deep.set({ session: { inner: 2, deep: 3 } }))
        await inner.transaction(async deep => { await deep.clear(); throw new Error('deep') }).catch(() => {})
      })
      await tx.setCreds({ n: 1 })
    }
    await assert.rejects(keys.transaction(async tx => { await work(tx); throw new Error('outer') }), /^Error: outer$/)
    await keys.transaction(work)
    const running = standing(work => keys.transaction(work), async tx => { await tx.transaction(inner => inner.clear()) }, () => { throw new Error('never committed') })
    afterwards(t, running.leave)
    await running.entered
    running.leave()
    await cask.close()
    const again = (await open(t, options)).account()
    assert.deepEqual(await recordsOf(again.keys, 'session'), [['deep', 3], ['inner', 2], ['kept', 1], ['outer', 1]])
    assert.deepEqual([await recordsOf(again.keys, 'lid-mapping'), await again.loadCreds()], [[['inner', '1']], { n: 1 }])
  })
})
