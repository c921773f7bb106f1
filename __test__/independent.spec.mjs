// `nested: 'independent'`: a transaction inside another one that commits by itself, and when it joins after all.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { detached } from 'baileys-cask'
import { collect, inEveryPlace, inFolders, open, openKeys, recordsOf } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, read, standing, write } from './helpers/locks.mjs'

const SOON_MS = 5000
const INDEPENDENT = { nested: 'independent' }

inEveryPlace(place => {
  const openHere = t => openKeys(t, place)
  const committed = (keys, ...ids) => detached(() => keys.get('session', ids))

  describe('an independent child', () => {
    test('commits at its own end: everybody sees it while the one around it still runs, and after that one has failed', async t => {
      const { cask, keys } = await openHere(t)
      await assert.rejects(keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await tx.transaction(async inner => {
          await inner.set({ session: { inner: 1, gone: null } })
          await inner.transaction(deep => deep.set({ session: { deep: 1 } }), 'deep')
          await inner.setCreds({ inner: 1 })
          assert.equal(inner.joined, false)
        }, 'inner', INDEPENDENT)
        assert.deepEqual(await committed(keys, 'inner', 'deep', 'outer'), { inner: 1, deep: 1 })
        assert.deepEqual(await cask.account().loadCreds(), { inner: 1 })
        assert.deepEqual(await tx.get('session', ['inner', 'deep', 'outer']), { inner: 1, deep: 1, outer: 1 })
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual(await recordsOf(keys, 'session'), [['deep', 1], ['inner', 1]])
    })

    test('is undone alone when it fails', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await assert.rejects(tx.transaction(async inner => { await inner.set({ session: { inner: 1 } }); throw new Error('inner') }, undefined, INDEPENDENT), /^Error: inner$/)
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['outer', 1]])
    })

    test('lets go of what no ancestor holds at its end, whether it succeeds or fails, and keeps what one does hold', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.get('session', ['outer'])
        await tx.get('lid-mapping', ['outer'])
        const before = heldIn(cask)
        for (const fail of [false, true]) {
          await tx.transaction(async inner => {
            await inner.get('session', ['outer', 'inner'])
            await inner.set({ 'lid-mapping': { outer: 'x' } })
            await inner.transaction(deep => deep.get('session', ['deep']), 'deep')
            await collect(inner.listIds('tctoken'))
            if (fail) throw new Error('inner')
          }, 'inner', INDEPENDENT).catch(() => {})
          assert.deepEqual(heldIn(cask), before)
          await within(SOON_MS, 'strangers', detached(() => Promise.all([
            keys.transaction(async () => {}, 'inner'), keys.transaction(async () => {}, 'deep'), keys.transaction(read('inner')), keys.set({ session: { deep: 1 }, tctoken: { a: 1 } }),
          ])))
          assert.ok(await isPending(detached(() => codeOf(keys.transaction(read('outer'))))))
        }
      }, 'outer')
    })

    test('may use what its ancestors have locked, in any mode, and sees no stranger come between', async t => {
      const { keys } = await openHere(t)
      await keys.set({ session: { a: 'old' }, 'lid-mapping': { a: 'old' } })
      let stranger
      await within(SOON_MS, 'all', keys.transaction(async tx => {
        await tx.get('session', ['a'])
        await tx.get('lid-mapping', ['a'])
        await collect(tx.list('tctoken'))
        stranger = detached(() => keys.set({ session: { a: 'stranger' }, 'lid-mapping': { a: 'stranger' } }))
        await turns()
        await tx.transaction(async inner => {
          assert.deepEqual(await inner.get('session', ['a']), { a: 'old' })
          await inner.set({ session: { a: 'inner' }, 'lid-mapping': { a: 'inner' }, tctoken: { a: 'inner' } })
          await inner.transaction(async () => {}, 'outer')
          assert.equal(inner.joined, false)
        }, 'outer', INDEPENDENT)
        assert.deepEqual(await committed(keys, 'a'), { a: 'inner' })
        // What it committed is what the one around it reads from now on.
        assert.deepEqual([await tx.get('session', ['a']), await tx.get('lid-mapping', ['a'])], [{ a: 'inner' }, { a: 'inner' }])
        assert.ok(await isPending(stranger))
      }, 'outer'))
      await stranger
      assert.deepEqual(await committed(keys, 'a'), { a: 'stranger' })
    })

    test('excludes its siblings, and they it', async t => {
      const { keys } = await openHere(t)
      await keys.transaction(async tx => {
        for (const [one, two] of [[INDEPENDENT, undefined], [undefined, INDEPENDENT], [INDEPENDENT, INDEPENDENT]]) {
          const first = standing(work => tx.transaction(work, 'label', one), read('a'))
          await first.entered
          const others = [tx.transaction(read('a'), undefined, two), tx.transaction(async () => {}, 'label', two)]
          for (const other of others) assert.ok(await isPending(other))
          await first.end()
          await Promise.all(others)
        }
      })
    })

    test('is waited for by the commit around it, and not doomed by its rollback', async t => {
      const { cask, keys } = await openHere(t)
      for (const fail of [false, true]) {
        const [entered, go, late] = [gate(), gate(), fail ? 'after a rollback' : 'after a commit']
        let child
        const outer = keys.transaction(async tx => {
          await tx.set({ session: { outer: late } })
          child = tx.transaction(async inner => {
            await inner.set({ session: { first: late } })
            entered.open()
            await go.opened
            await inner.set({ session: { second: late } })
            await keys.set({ session: { ambient: late } })
            await inner.transaction(deep => deep.set({ session: { deep: late } }))
            assert.deepEqual(await inner.get('session', ['first']), { first: late })
          }, 'child', INDEPENDENT)
          child.catch(() => {})
          await entered.opened
          if (fail) throw new Error('outer')
        }, 'outer')
        await entered.opened
        if (fail) await assert.rejects(within(SOON_MS, 'the rollback, which waits for nobody', outer), /^Error: outer$/)
        else assert.ok(await isPending(outer))
        assert.deepEqual(heldIn(cask).filter(name => name.includes('child')), ['label child exclusive'])
        go.open()
        await within(SOON_MS, 'the child', child)
        await outer.catch(() => {})
        assert.deepEqual(await committed(keys, 'first', 'second', 'ambient', 'deep'), { first: late, second: late, ambient: late, deep: late })
        assert.deepEqual(cask.locks(), [])
      }
      assert.deepEqual(await committed(keys, 'outer'), { outer: 'after a commit' })
    })

    test('goes on where the one around it is doomed by a deadlock, and commits', async t => {
      const { cask, keys } = await openHere(t)
      const stranger = standing(work => keys.transaction(work), read('b'), read('a'))
      await stranger.entered
      const [entered, go] = [gate(), gate()]
      let child
      const outer = codeOf(keys.transaction(async tx => {
        await tx.get('session', ['a'])
        child = codeOf(tx.transaction(async inner => { await inner.set({ session: { child: 1 } }); entered.open(); await go.opened; await inner.set({ session: { late: 1 } }) }, undefined, INDEPENDENT))
        await entered.opened
        stranger.leave()
        await turns()
        await tx.get('session', ['b']).catch(() => {})
        go.open()
        await child
      }))
      assert.equal(await within(SOON_MS, 'the outer one', outer), 'ERR_CASK_DEADLOCK')
      assert.equal(await child, 'ended')
      await stranger.ended
      assert.deepEqual(await recordsOf(keys, 'session'), [['child', 1], ['late', 1]])
      assert.deepEqual(cask.locks(), [])
    })

    test('on its own, outside of all, is a transaction like any other', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transaction(async tx => { await tx.set({ session: { a: 1 } }); assert.equal(tx.joined, false) }, 'label', INDEPENDENT)
      await assert.rejects(keys.transaction(async tx => { await tx.set({ session: { a: 2 } }); throw new Error('mine') }, 'label', INDEPENDENT), /^Error: mine$/)
      assert.deepEqual([await committed(keys, 'a'), cask.locks()], [{ a: 1 }, []])
    })

    test('inside an independent one: each commits at its own end', async t => {
      const { keys } = await openHere(t)
      await assert.rejects(keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await assert.rejects(tx.transaction(async inner => {
          await inner.set({ session: { inner: 1 } })
          await inner.transaction(write('deep', 1), undefined, INDEPENDENT)
          assert.deepEqual(await committed(keys, 'deep', 'inner'), { deep: 1 })
          throw new Error('inner')
        }, undefined, INDEPENDENT), /^Error: inner$/)
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual(await recordsOf(keys, 'session'), [['deep', 1]])
    })
  })

  describe('it joins where it touches what is staged around it', () => {
    /** What the channel says while `work` runs. */
    const heardDuring = async (t, work) => {
      const heard = []
      const listen = message => heard.push(message)
      subscribe('baileys-cask:joined', listen)
      afterwards(t, () => unsubscribe('baileys-cask:joined', listen))
      await work()
      unsubscribe('baileys-cask:joined', listen)
      return heard.filter(({ label }) => label === 'child')
    }
    const staged = async tx => { await tx.set({ session: { a: 'outer', removed: null }, 'lid-mapping': { l: 'outer' } }) }
    const touches = {
      'by get': [staged, tx => tx.get('session', ['a'])],
      'by get of one of several': [staged, tx => tx.get('session', ['x', 'y', 'a'])],
      'by get of what was deleted': [staged, tx => tx.get('session', ['removed'])],
      'by get in a read-mostly family': [staged, tx => tx.get('lid-mapping', ['l'])],
      'by set': [staged, tx => tx.set({ session: { a: 'child' } })],
      'by set of one of several': [staged, tx => tx.set({ other: { x: 1 }, session: { y: 1, removed: 'child' } })],
      'by delete': [staged, tx => tx.set({ session: { a: null } })],
      'by list': [staged, tx => collect(tx.list('session'))],
      'by listIds': [staged, tx => collect(tx.listIds('session'))],
      'by clear': [staged, tx => tx.clear()],
      'by an ambient get': [staged, (tx, keys) => keys.get('session', ['a'])],
      'by an ambient set': [staged, (tx, keys) => keys.set({ session: { a: 'child' } })],
      'by a get after a clear': [tx => tx.clear(), tx => tx.get('session', ['never there'])],
      'by a list after a clear': [tx => tx.clear(), tx => collect(tx.listIds('other'))],
      'by setCreds': [tx => tx.setCreds({ outer: 1 }), tx => tx.setCreds({ child: 1 })],
      'in a child of its own': [staged, tx => tx.transaction(inner => inner.get('session', ['a']))],
      'in an independent child of its own': [staged, tx => tx.transaction(inner => inner.get('session', ['a']), undefined, INDEPENDENT)],
      'what a child that ended has left around it': [tx => tx.transaction(staged), tx => tx.get('session', ['a'])],
      'with isolation label': [staged, tx => tx.get('session', ['a']), { isolation: 'label' }],
      'with isolation label, by set': [staged, tx => tx.set({ session: { a: 'child' } }), { isolation: 'label' }],
    }
    for (const [how, [before, touch, options]] of Object.entries(touches)) {
      test(`${how}: it commits with the one around it as a whole, and says so`, async t => {
        const { cask, keys } = await openHere(t)
        await keys.set({ session: { removed: 'old' } })
        const was = [await recordsOf(keys, 'session'), await recordsOf(keys, 'other'), await recordsOf(keys, 'lid-mapping'), await cask.account().loadCreds()]
        const is = async () => [await recordsOf(keys, 'session'), await recordsOf(keys, 'other'), await recordsOf(keys, 'lid-mapping'), await cask.account().loadCreds()]
        const run = fail => keys.transaction(async tx => {
          await before(tx)
          await tx.transaction(async inner => {
            // Where a clear is staged, or is about to be, any record is one of those that it concerns.
            if (!how.includes('clear')) await inner.set({ tctoken: { early: 'child' } })
            assert.equal(inner.joined, false)
            await touch(inner, keys)
            assert.equal(inner.joined, true)
            await inner.set({ tctoken: { late: 'child' } })
          }, 'child', { ...INDEPENDENT, ...options })
          assert.deepEqual(await detached(() => recordsOf(keys, 'tctoken')), [], 'it has not committed')
          if (fail) throw new Error('outer')
        }, 'outer')
        const heard = await heardDuring(t, async () => {
          await assert.rejects(run(true), /^Error: outer$/)
          assert.deepEqual(await is(), was, 'undone with the one around it')
          assert.deepEqual(await recordsOf(keys, 'tctoken'), [])
          await run(false)
        })
        assert.deepEqual(await recordsOf(keys, 'tctoken'), how.includes('clear') ? [['late', 'child']] : [['early', 'child'], ['late', 'child']])
        assert.deepEqual(heard, Array(2).fill({ account: 'default', label: 'child', around: 'outer' }))
        assert.deepEqual(cask.locks(), [])
      })
    }

    for (const [how, before, touch] of [
      ['touches other records', staged, tx => tx.set({ session: { x: 1 }, 'lid-mapping': { y: '1' }, other: { a: 1 } })],
      ['touches what is only read around it', read('a'), write('a')],
      ['lists another family', staged, tx => collect(tx.list('other'))],
      ['lists where only creds are staged', tx => tx.setCreds({ a: 1 }), tx => collect(tx.list('session'))],
      ['clears where only creds are staged', tx => tx.setCreds({ a: 1 }), tx => tx.clear()],
      ['touches what a failed child had staged', tx => tx.transaction(async inner => { await inner.set({ session: { a: 1 } }); throw new Error('x') }).catch(() => {}), tx => tx.get('session', ['a'])],
      ['touches what an independent sibling has committed', tx => tx.transaction(write('a', 1), undefined, INDEPENDENT), tx => tx.get('session', ['a'])],
    ]) {
      test(`not where it ${how}`, async t => {
        const { keys } = await openHere(t)
        const heard = await heardDuring(t, () => assert.rejects(keys.transaction(async tx => {
          await before(tx)
          await tx.transaction(async inner => {
            await touch(inner)
            await inner.set({ tctoken: { child: 1 } })
            assert.equal(inner.joined, false)
          }, 'child', INDEPENDENT)
          throw new Error('outer')
        }), /^Error: outer$/))
        assert.deepEqual([await recordsOf(keys, 'tctoken'), heard], [[['child', 1]], []])
      })
    }

    test('joined, its locks pass to the one around it; failing, it leaves that one as before', async t => {
      const { cask, keys } = await openHere(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { a: 'outer' } })
        await tx.transaction(async inner => { await inner.get('session', ['b']); await inner.set({ session: { a: 'inner' } }) }, 'good', INDEPENDENT)
        const held = ['label good exclusive', 'record session a exclusive', 'record session b exclusive']
        assert.deepEqual(heldIn(cask), held)
        await assert.rejects(tx.transaction(async inner => { await inner.get('session', ['c']); await inner.set({ session: { a: 'bad' } }); throw new Error('bad') }, 'bad', INDEPENDENT), /^Error: bad$/)
        assert.deepEqual(heldIn(cask), held)
        assert.deepEqual(await tx.get('session', ['a']), { a: 'inner' })
        assert.ok(await isPending(detached(() => codeOf(keys.transaction(read('b'))))))
      })
      assert.deepEqual(await committed(keys, 'a'), { a: 'inner' })
    })

    test('a rollback around one that has joined dooms it', async t => {
      const { cask, keys } = await openHere(t)
      const [entered, go, tried] = [gate(), gate(), gate()]
      let child
      await assert.rejects(keys.transaction(async tx => {
        await tx.set({ session: { a: 'outer' } })
        child = codeOf(tx.transaction(async inner => {
          await inner.set({ session: { mine: 1 } })
          await inner.get('session', ['a'])
          entered.open()
          await go.opened
          tried.open(await codeOf(inner.set({ session: { late: 1 } })))
        }, undefined, INDEPENDENT))
        await entered.opened
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual(heldIn(cask), [])
      go.open()
      assert.deepEqual([await child, await tried.opened], Array(2).fill('ERR_CASK_TRANSACTION_ENDED'))
      assert.deepEqual(await recordsOf(keys, 'session'), [])
    })

    test('the nearest one that has staged it decides how far: an independent one between stays independent', async t => {
      const { keys } = await openHere(t)
      await assert.rejects(keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await tx.transaction(async middle => {
          await middle.set({ session: { middle: 1 } })
          await middle.transaction(async inner => {
            await inner.set({ session: { inner: 1 } })
            await inner.get('session', ['middle'])
            assert.equal(inner.joined, true)
          }, undefined, INDEPENDENT)
          assert.equal(middle.joined, false)
          assert.deepEqual(await committed(keys, 'inner', 'middle'), {})
        }, undefined, INDEPENDENT)
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual(await recordsOf(keys, 'session'), [['inner', 1], ['middle', 1]])
    })

    test('a grandchild that touches what the outermost has staged takes along every level between', async t => {
      const { cask, keys } = await openHere(t)
      await assert.rejects(keys.transaction(async tx => {
        await tx.set({ session: { outer: 1 } })
        await tx.transaction(async middle => {
          await middle.set({ session: { middle: 1 } })
          await middle.transaction(async between => {
            await between.transaction(async inner => {
              await inner.set({ session: { inner: 1 } })
              await inner.get('session', ['outer'])
              assert.equal(inner.joined, true)
            }, undefined, INDEPENDENT)
            await between.set({ session: { between: 1 } })
          })
          assert.equal(middle.joined, true)
        }, 'middle', INDEPENDENT)
        assert.deepEqual(heldIn(cask), ['label middle exclusive', ...['between', 'inner', 'middle', 'outer'].map(id => `record session ${id} exclusive`)])
        assert.deepEqual(await committed(keys, 'outer', 'middle', 'between', 'inner'), {})
        throw new Error('outer')
      }), /^Error: outer$/)
      assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[], []])
    })

    test('saveCreds inside where setCreds was called around: it replaces that value and commits with it, and joins nothing', async t => {
      const { cask, keys } = await openHere(t)
      const account = cask.account()
      await keys.transaction(async tx => {
        await tx.setCreds({ n: 1 })
        await tx.transaction(async inner => {
          await account.saveCreds({ n: 2 })
          await inner.set({ session: { child: 1 } })
          assert.equal(inner.joined, false)
        }, undefined, INDEPENDENT)
        assert.equal(await account.loadCreds(), undefined)
        assert.deepEqual(await committed(keys, 'child'), { child: 1 })
      })
      assert.deepEqual(await account.loadCreds(), { n: 2 })
    })
  })
})

inFolders(place => {
  test('on disk: what independent children committed is there after a rollback around them, what joined is not', async t => {
    const options = await place.optionsFor(t)
    const cask = await open(t, options)
    const { keys } = cask.account()
    await assert.rejects(keys.transaction(async tx => {
      await tx.set({ session: { outer: 1 } })
      await tx.transaction(write('independent', 1), undefined, INDEPENDENT)
      await tx.transaction(async inner => { await inner.get('session', ['outer']); await inner.set({ session: { joined: 1 } }) }, undefined, INDEPENDENT)
      throw new Error('outer')
    }), /^Error: outer$/)
    await cask.close()
    assert.deepEqual(await recordsOf((await open(t, options)).account().keys, 'session'), [['independent', 1]])
  })
})
