// What a failed call means for its transaction, whatever its work does with the error.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CaskError, detached } from 'baileys-cask'
import { collect, inEveryPlace, open, recordsOf } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { gate, turns, within } from './helpers/gate.mjs'
import { codeOf, heldIn, standing } from './helpers/locks.mjs'

const SOON_MS = 10_000
const LOCK_TIMEOUT = 'ERR_CASK_LOCK_TIMEOUT'

inEveryPlace(place => {
  /** A cask whose waits are short, with session a, family tctoken and creds held by a stranger. */
  const openBusy = async t => {
    const cask = await open(t, { ...await place.optionsFor(t), lockTimeoutMs: 30 })
    const account = cask.account()
    const { keys } = account
    await keys.set({ session: { a: 'there', b: 'there' } })
    const stranger = standing(work => keys.transaction(work, 'busy'), async tx => { await tx.get('session', ['a']); await collect(tx.list('tctoken')); await tx.setCreds({ s: 1 }) })
    afterwards(t, stranger.leave)
    await stranger.entered
    return { cask, account, keys, stranger }
  }

  const failing = {
    get: tx => tx.get('session', ['a']),
    'a get of several': tx => tx.get('session', ['b', 'a']),
    set: tx => tx.set({ session: { a: 1 } }),
    'a set of several': tx => tx.set({ session: { b: 1, a: 1 }, other: { x: 1 } }),
    clear: tx => tx.clear(),
    setCreds: tx => tx.setCreds({ a: 1 }),
    listIds: tx => collect(tx.listIds('session')),
    list: tx => collect(tx.list('session')),
    'a step of a list': tx => tx.list('session').next(),
    'an ambient get': (tx, keys) => keys.get('session', ['a']),
    'an ambient set': (tx, keys) => keys.set({ session: { a: 1 } }),
    'an ambient clear': (tx, keys) => keys.clear(),
    'an ambient list': (tx, keys) => collect(keys.list('session')),
  }

  describe('a call that fails', () => {
    for (const [what, call] of Object.entries(failing)) {
      test(`${what}: its transaction is refused with that error, though its work caught it and went on`, async t => {
        const { cask, keys, stranger } = await openBusy(t)
        let first
        let held
        // What is thrown inside comes out as the first error: it is looked at afterwards.
        const codes = []
        const refused = keys.transaction(async tx => {
          await tx.set({ session: { mine: 1 } })
          first = await call(tx, keys).catch(error => error)
          held = heldIn(cask).filter(name => name.includes('mine'))
          for (const later of [tx.get('session', ['b']), tx.set({ session: { b: 2 } }), tx.clear(), tx.setCreds({}), tx.transaction(async () => {}), collect(tx.list('other')), keys.get('session', ['b']), keys.set({ other: { a: 1 } }), keys.transaction(async () => {})]) codes.push(await codeOf(later))
          return 'went on'
        }, 'mine')
        const error = await refused.then(() => assert.fail('committed'), error => error)
        assert.equal(error, first)
        assert.deepEqual([error.name, error.code, error.retryable], ['CaskError', LOCK_TIMEOUT, true])
        assert.deepEqual(held, [], 'its locks are free at once')
        assert.deepEqual(codes, Array(9).fill(LOCK_TIMEOUT))
        await stranger.end()
        assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[['a', 'there'], ['b', 'there']], []])
      })
    }

    test('the first error is the one, also where work throws another one, or a later call failed otherwise', async t => {
      const { keys } = await openBusy(t)
      let first
      for (const after of [
        () => { throw new Error('mine') }, () => Promise.reject(new TypeError('mine')), tx => tx.get('session', 'no list'), tx => tx.set({ session: { b: NaN } }), () => { throw new CaskError('ERR_CASK_IO', 'mine') },
      ]) {
        const error = await keys.transaction(async tx => {
          first = await tx.get('session', ['a']).catch(error => error)
          return after(tx)
        }).catch(error => error)
        assert.equal(error, first)
        assert.equal(error.code, LOCK_TIMEOUT)
      }
    })

    test('one that was not awaited counts: the commit waits for it and is refused', async t => {
      const { keys } = await openBusy(t)
      const error = await keys.transaction(async tx => {
        await tx.set({ session: { mine: 1 } })
        tx.get('session', ['a']).catch(() => {})
      }).catch(error => error)
      assert.equal(error.code, LOCK_TIMEOUT)
      assert.deepEqual(await keys.get('session', ['mine']), {})
    })

    test('of a child dooms the child, not the one around it, which is as before and may try again', async t => {
      const { keys, stranger } = await openBusy(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { b: 'outer' } })
        let first
        const child = await tx.transaction(async inner => {
          await inner.set({ session: { b: 'inner', inner: 1 } })
          first = await inner.get('session', ['a']).catch(error => error)
        }, 'child').catch(error => error)
        assert.equal(child, first)
        assert.equal(child.code, LOCK_TIMEOUT)
        assert.deepEqual(await tx.get('session', ['b', 'inner']), { b: 'outer' })
        for (const begin of [() => tx.transaction(async () => {}, 'busy'), () => tx.transactWith({ records: [{ type: 'session', id: 'a' }] }, async () => {})]) {
          assert.equal(await codeOf(begin()), LOCK_TIMEOUT)
        }
        await stranger.end()
        await tx.transaction(inner => inner.set({ session: { a: 'again' } }), 'child')
      })
      assert.deepEqual(await recordsOf(keys, 'session'), [['a', 'again'], ['b', 'outer']])
    })

    test('of the one around it, made while a child runs, takes the child along', async t => {
      const { keys } = await openBusy(t)
      const [entered, go] = [gate(), gate()]
      const codes = []
      let child
      const outer = codeOf(keys.transaction(async tx => {
        child = codeOf(tx.transaction(async inner => {
          await inner.set({ session: { child: 1 } })
          entered.open()
          await go.opened
          codes.push(await codeOf(inner.set({ session: { late: 1 } })), await codeOf(keys.set({ session: { late: 1 } })))
        }))
        await entered.opened
        await tx.get('session', ['a']).catch(() => {})
        go.open()
      }))
      assert.equal(await within(SOON_MS, 'the outer one', outer), LOCK_TIMEOUT)
      assert.deepEqual([await child, ...codes], Array(3).fill(LOCK_TIMEOUT))
      assert.deepEqual(await keys.get('session', ['child', 'late']), {})
    })

    test('saveCreds is no call of the transaction around it: it fails alone', async t => {
      const { account, keys } = await openBusy(t)
      await keys.transaction(async tx => {
        await tx.set({ session: { mine: 1 } })
        assert.equal(await codeOf(account.saveCreds({ a: 1 })), LOCK_TIMEOUT)
      })
      assert.deepEqual(await keys.get('session', ['mine']), { mine: 1 })
    })

    test('of another account inside is not its own: the one around it goes on', async t => {
      const { cask, keys } = await openBusy(t)
      const other = cask.account('other').keys
      await other.transaction(async tx => {
        await tx.set({ session: { mine: 1 } })
        assert.equal(await codeOf(keys.set({ session: { a: 1 } })), LOCK_TIMEOUT)
        assert.equal(await codeOf(keys.transaction(inner => inner.get('session', ['a']))), LOCK_TIMEOUT)
      })
      assert.deepEqual(await other.get('session', ['mine']), { mine: 1 })
    })

    test('a drop of the account is one', async t => {
      const { account, keys } = await openBusy(t)
      const [entered, go] = [gate(), gate()]
      let first
      const running = keys.transaction(async tx => {
        entered.open()
        await go.opened
        first = await codeOf(tx.get('session', ['b']))
      }).catch(error => error)
      await entered.opened
      await account.drop()
      go.open()
      assert.equal((await running).code, 'ERR_CASK_DROPPED')
      await turns()
      assert.equal(first, 'ERR_CASK_DROPPED')
    })

    test('is told on the channel, once, with the label and no value', async t => {
      const { keys } = await openBusy(t)
      const heard = []
      const listen = message => heard.push(message)
      subscribe('baileys-cask:doomed', listen)
      afterwards(t, () => unsubscribe('baileys-cask:doomed', listen))
      const error = await keys.transaction(async tx => {
        await tx.set({ session: { b: 'TOPSECRET' } })
        await tx.get('session', ['a']).catch(() => {})
        await tx.get('session', ['a']).catch(() => {})
      }, 'doomed one').catch(error => error)
      const mine = heard.filter(({ label }) => label === 'doomed one')
      assert.deepEqual(mine, [{ account: 'default', label: 'doomed one', code: LOCK_TIMEOUT, error }])
      assert.doesNotMatch(JSON.stringify(mine), /TOPSECRET/)
    })
  })

  describe('a wrong argument', () => {
    test('dooms nothing, whatever the call: what was staged is committed', async t => {
      const { cask, keys, stranger } = await openBusy(t)
      await keys.transaction(async tx => {
        await tx.set({ other: { before: 1 } })
        for (const store of [tx, keys]) {
          for (const call of [
            () => store.get('session', 'a'), () => store.get('session', [1]), () => store.get('', ['a']), () => store.get('session', ['\ud800']), () => store.get(undefined, []), () => store.get('session', ['x'.repeat(70_000)]),
            () => store.set(null), () => store.set('x'), () => store.set({ session: 'x' }), () => store.set({ session: { a: NaN } }), () => store.set({ session: { b: new Map() } }), () => store.set({ '': { a: 1 } }),
            () => store.transaction('work'), () => store.transaction(async () => {}, ''), () => store.transaction(async () => {}, 1), () => store.transaction(async () => {}, 'x', { nested: 'no' }), () => store.transaction(async () => {}, 'x', { unknown: 1 }),
            () => store.transaction(async () => {}, 'x', { timeoutMs: -1 }), () => store.transactWith({ records: [] }, async () => {}), () => collect(store.list('')), () => collect(store.listIds(1)),
          ]) {
            await assert.rejects(async () => call(), error => (error instanceof TypeError || error instanceof RangeError) && error.code === 'ERR_CASK_INVALID_ARGUMENT', String(call))
          }
        }
        await assert.rejects(async () => tx.setCreds(undefined), { code: 'ERR_CASK_INVALID_ARGUMENT' })
        await tx.set({ other: { after: 1 } })
      }, 'mine')
      assert.deepEqual(await recordsOf(keys, 'other'), [['after', 1], ['before', 1]])
      await stranger.end()
      assert.deepEqual(cask.locks(), [])
    })

    test('a foreign error that looks like one of ours, thrown by work and caught, dooms nothing', async t => {
      const { keys } = await openBusy(t)
      await keys.transaction(async tx => {
        await tx.set({ other: { a: 1 } })
        try { throw new CaskError('ERR_CASK_IO', 'mine') } catch {}
        await tx.transaction(() => { throw new CaskError('ERR_CASK_DEADLOCK', 'mine') }).catch(() => {})
      })
      assert.deepEqual(await keys.get('other', ['a']), { a: 1 })
    })

    test('a call through the ended handle of a child dooms nobody', async t => {
      const { keys } = await openBusy(t)
      await keys.transaction(async tx => {
        let ended
        await tx.transaction(async inner => { ended = inner })
        assert.equal(await codeOf(ended.set({ other: { late: 1 } })), 'ERR_CASK_TRANSACTION_ENDED')
        assert.equal(await codeOf(ended.transaction(async () => {})), 'ERR_CASK_TRANSACTION_ENDED')
        await tx.set({ other: { a: 1 } })
      })
      assert.deepEqual(await recordsOf(keys, 'other'), [['a', 1]])
    })
  })

  // What libsignal does with a failed read: it goes on as if there were no session.
  test('work that takes every error for "not there" and writes a fresh value does not replace what is there', async t => {
    const { keys, stranger } = await openBusy(t)
    const load = async tx => {
      try {
        return (await tx.get('session', ['a'])).a
      } catch {
        return undefined
      }
    }
    const work = async tx => {
      const session = await load(tx)
      if (session === undefined) await tx.set({ session: { a: 'fresh' } }).catch(() => {})
    }
    assert.equal(await codeOf(detached(() => keys.transaction(work, 'a'))), LOCK_TIMEOUT)
    await stranger.end()
    assert.deepEqual(await keys.get('session', ['a']), { a: 'there' })
    await keys.transaction(work, 'a')
    assert.deepEqual(await keys.get('session', ['a']), { a: 'there' })
  })
})
