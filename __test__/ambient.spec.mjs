import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { detached } from 'baileys-cask'
import { collect, open, recordsOf } from './helpers/casks.mjs'
import { tempFolder } from './helpers/folders.mjs'
import { gate, isPending, turns, within } from './helpers/gate.mjs'
import { runScript } from './helpers/script.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)

describe('one AsyncLocalStorage', () => {
  test('serves all stores of a thread: casks, accounts, auth states, sockets, and a second copy of the package', async t => {
    const { stdout, stderr } = await runScript(`
      import { cpSync, readdirSync } from 'node:fs'
      import { createRequire } from 'node:module'
      import { join } from 'node:path'
      const require = createRequire(import.meta.url)
      const hooks = require('node:async_hooks')
      const made = []
      // Newer runtimes have a getter there.
      Object.defineProperty(hooks, 'AsyncLocalStorage', { value: class extends hooks.AsyncLocalStorage {
        constructor(...args) {
          super(...args)
          if (/baileys-cask|js.context|index\\.js/.test(new Error().stack)) made.push(this)
        }
      } })
      const copy = join(${JSON.stringify(tempFolder(t))}, 'node_modules', 'baileys-cask')
      for (const name of ['package.json', 'index.js', 'js', 'binding.js']) cpSync(name, join(copy, name), { recursive: true })
      for (const name of readdirSync('.').filter(name => name.endsWith('.node'))) cpSync(name, join(copy, name))
      const results = []
      for (const { openCask, useCaskAuthState, withCask } of [require('baileys-cask'), require(copy)]) {
        for (let n = 0; n < 20; n++) {
          const cask = await openCask()
          const { state } = await useCaskAuthState(cask, { account: 'a' + n, baileys: { initAuthCreds: () => ({ n }) } })
          withCask({ auth: state, makeSignalRepository: () => ({}) }).makeSignalRepository({ creds: {}, keys: state.keys })
          await state.keys.transaction(() => state.keys.transaction(() => state.keys.set({ session: { a: 1 } }), 'inner'), 'label')
          results.push(Object.keys(await state.keys.get('session', ['a'])).length)
        }
      }
      console.log(JSON.stringify({ made: made.length, stored: results.every(n => n === 1) && results.length }))`)
    assert.ok(stdout, stderr)
    assert.deepEqual(JSON.parse(stdout), { made: 1, stored: 40 })
  })
})

describe('{ ambient: false }', () => {
  async function both(t) {
    const cask = await open(t)
    const { keys } = cask.account('a')
    const outside = cask.account('a', { ambient: false }).keys
    await keys.set({ session: { a: 'committed', b: 'committed' } })
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 'staged' } }))
    return { cask, keys, outside, held }
  }

  test('reads and lists what is committed, and says that it is in no transaction', async t => {
    const { keys, outside, held } = await both(t)
    await held.inside(async () => {
      assert.deepEqual([keys.isInTransaction(), outside.isInTransaction()], [true, false])
      assert.deepEqual(await outside.get('session', ['a']), { a: 'committed' })
      assert.deepEqual(await keys.get('session', ['a']), { a: 'staged' })
      assert.deepEqual(await recordsOf(outside, 'session'), [['a', 'committed'], ['b', 'committed']])
      assert.deepEqual((await collect(outside.listIds('session'))).sort(), ['a', 'b'])
    })
  })

  test('writes at once, waits for the locks of the transaction around it, and survives its rollback', async t => {
    const { keys, outside, held } = await both(t)
    await held.inside(async () => {
      await soon('a set of another record', outside.set({ session: { b: 'outside' } }))
    })
    assert.deepEqual(await keys.get('session', ['b']), { b: 'outside' })
    const waits = held.inside(() => outside.set({ session: { a: 'after' } }))
    const clears = held.inside(() => outside.clear())
    assert.ok(await isPending(waits) && await isPending(clears))
    held.leave()
    await soon('the end of all', Promise.all([held.ended, waits, clears]))
    assert.deepEqual(await recordsOf(keys, 'session'), [])
  })

  test('begins transactions of its own: they wait for the label around, commit by themselves and stay', async t => {
    const { keys, outside, held } = await both(t)
    const controller = new AbortController()
    const failing = await heldOpen(t, work => keys.transaction(work, undefined, { signal: controller.signal }), tx => tx.set({ session: { c: 'staged' } }))
    await failing.inside(() => soon('its end', outside.transaction(async tx => {
      await tx.set({ session: { own: 1 } })
      assert.equal(tx.joined, false)
    }, 'other label', { nested: 'independent' })))
    await failing.inside(() => soon('its end', outside.transactWith({ records: [{ type: 'session', id: 'with' }] }, tx => tx.set({ session: { with: 1 } }))))
    const waits = held.inside(() => outside.transaction(async () => 'after', 'label'))
    assert.ok(await isPending(waits))
    controller.abort()
    failing.leave()
    await assert.rejects(failing.ended, { code: 'ERR_CASK_ABORTED' })
    assert.deepEqual(await keys.get('session', ['c', 'own', 'with']), { own: 1, with: 1 })
    held.leave()
    assert.equal(await soon('its label', waits), 'after')
  })

  test('takes no notice of a rollback or a doom around it', async t => {
    const { keys, outside } = await both(t)
    const controller = new AbortController()
    const held = await heldOpen(t, work => keys.transaction(work, undefined, { signal: controller.signal }))
    controller.abort()
    await held.inside(() => soon('a set', outside.set({ session: { d: 'doomed' } })))
    await held.inside(() => soon('a transaction', outside.transaction(tx => tx.get('session', ['d']))))
    held.leave()
    await assert.rejects(held.ended)
    await turns()
    await held.inside(() => soon('a set', outside.set({ session: { e: 'left over' } })))
    await held.inside(() => assert.rejects(keys.set({ session: { f: 1 } }), { code: 'ERR_CASK_TRANSACTION_ENDED' }))
    assert.deepEqual(await keys.get('session', ['d', 'e', 'f']), { d: 'doomed', e: 'left over' })
  })
})

describe('the chain', () => {
  test('a call finds the innermost live transaction of its own account, through those of others', async t => {
    const cask = await open(t)
    const [a, b, c] = ['a', 'b', 'c'].map(name => cask.account(name).keys)
    const outer = await heldOpen(t, work => a.transaction(work))
    const middle = await outer.inside(() => heldOpen(t, work => b.transaction(work)))
    const inner = await middle.inside(() => heldOpen(t, work => a.transaction(work)))
    const innermost = await inner.inside(() => heldOpen(t, work => c.transaction(work)))
    await innermost.inside(async () => {
      assert.deepEqual([a, b, c].map(keys => keys.isInTransaction()), [true, true, true])
      await Promise.all([a, b, c].map(keys => keys.set({ session: { x: 1 } })))
    })
    assert.deepEqual(await inner.tx.get('session', ['x']), { x: 1 })
    for (const { leave, ended } of [innermost, inner]) {
      leave()
      await soon('an end', ended)
    }
    // Part of the outermost one of its account, of which nothing is committed.
    assert.deepEqual([await c.get('session', ['x']), await b.get('session', ['x']), await a.get('session', ['x'])], [{ x: 1 }, {}, {}])
    await innermost.inside(async () => {
      assert.deepEqual([a, b, c].map(keys => keys.isInTransaction()), [true, true, false])
      await a.set({ session: { y: 1 } })
    })
    assert.deepEqual(await outer.tx.get('session', ['x', 'y']), { x: 1, y: 1 })
    middle.leave()
    await soon('the end of the middle one', middle.ended)
    assert.deepEqual(await b.get('session', ['x']), { x: 1 })
    // From the innermost place the ended ones are gone, also those in the middle.
    await innermost.inside(async () => {
      assert.deepEqual([a, b, c].map(keys => keys.isInTransaction()), [true, false, false])
      await b.set({ session: { z: 1 } })
    })
    assert.deepEqual(await b.get('session', ['z']), { z: 1 })
    outer.leave()
    await soon('the outermost end', outer.ended)
    assert.deepEqual(await a.get('session', ['x', 'y']), { x: 1, y: 1 })
    await innermost.inside(async () => assert.equal(a.isInTransaction(), false))
  })

  test('one that has ended is not in it, though what began inside still runs', async t => {
    const cask = await open(t)
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    for (const [fail, after] of [[false, undefined], [true, 'ERR_CASK_TRANSACTION_ENDED']]) {
      const middle = await heldOpen(t, work => a.transaction(async tx => {
        await work(tx)
        if (fail) throw new Error('rolled back')
      }, 'label'))
      const inner = await middle.inside(() => heldOpen(t, work => b.transaction(work)))
      middle.leave()
      await soon('the end around it', outcome(middle.ended))
      await inner.inside(async () => {
        assert.deepEqual([a.isInTransaction(), b.isInTransaction()], [false, true])
        assert.equal((await outcome(a.set({ session: { a: 1 } }))).error?.code, after)
        await soon('a fresh one', a.transaction(tx => tx.set({ session: { fresh: 1 } }), 'label'))
        await b.set({ session: { b: 1 } })
      })
      inner.leave()
      await soon('the inner end', inner.ended)
      assert.deepEqual(await b.get('session', ['b']), { b: 1 })
    }
  })

  test('calls inside one that was begun by the handle, from wherever, are part of it', async t => {
    const { keys } = (await open(t)).account()
    const outer = await heldOpen(t, work => keys.transaction(work, 'outer'))
    const inner = await heldOpen(t, work => outer.tx.transaction(work, 'inner'))
    await inner.inside(() => keys.set({ session: { a: 1 } }))
    assert.deepEqual([await inner.tx.get('session', ['a']), await keys.get('session', ['a'])], [{ a: 1 }, {}])
  })
})

describe('a transaction of another account inside', () => {
  test('commits on its own: neither failure undoes the other', async t => {
    const cask = await open(t)
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    await assert.rejects(a.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await b.transaction(inner => inner.set({ session: { b: 1 } }), 'b')
      assert.deepEqual(await b.get('session', ['b']), { b: 1 }, 'it waits for the one around it')
      throw new Error('outer')
    }, 'a'), /outer/)
    await a.transaction(async tx => {
      await assert.rejects(b.transaction(async inner => {
        await inner.set({ session: { b: 2 } })
        throw new Error('inner')
      }, 'b'), /inner/)
      await tx.set({ session: { a: 2 } })
    }, 'a')
    assert.deepEqual([await a.get('session', ['a']), await b.get('session', ['b'])], [{ a: 2 }, { b: 1 }])
  })

  test('its locks end with it', async t => {
    const cask = await open(t)
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    const outer = await heldOpen(t, work => a.transaction(work, 'a'))
    await outer.inside(() => b.transaction(tx => tx.set({ session: { x: 1 } }), 'b'))
    await soon('its label', b.transaction(async () => {}, 'b'))
    await soon('its record', b.set({ session: { x: 2 } }))
    assert.deepEqual(cask.locks().map(({ account, label }) => [account, label]), [['a', 'a']])
  })

  test('is linked to it: a circle through both is found, and the victim is the one that holds a lock of the circle', async t => {
    const cask = await open(t)
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    const one = await heldOpen(t, work => a.transaction(work, 'la'))
    const other = await heldOpen(t, work => b.transaction(work, 'lb'))
    const waits = other.inside(() => a.transaction(async () => 'got it', 'la'))
    assert.ok(await isPending(waits))
    // It holds nothing itself; the one around it does.
    const { error } = await soon('the deadlock', outcome(one.inside(() => b.transaction(async () => {}, 'lb'))))
    assert.deepEqual([error.code, error.retryable, error.label], ['ERR_CASK_DEADLOCK', true, 'la'])
    await assert.rejects(one.tx.set({ session: { x: 1 } }), { code: 'ERR_CASK_DEADLOCK' })
    one.leave()
    assert.equal((await soon('the victim', outcome(one.ended))).error, error)
    assert.equal(await soon('the other', waits), 'got it')
    other.leave()
    await soon('the end of the other', other.ended)
  })

  test('the same with records that are set outside of both', async t => {
    const cask = await open(t)
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    const one = await heldOpen(t, work => a.transaction(work, 'la'), tx => tx.set({ session: { x: 1 } }))
    const other = await heldOpen(t, work => b.transaction(work, 'lb'), tx => tx.set({ session: { y: 1 } }))
    const inner = await other.inside(() => heldOpen(t, work => a.transaction(work)))
    const waits = inner.tx.get('session', ['x'])
    waits.catch(() => {})
    assert.ok(await isPending(waits))
    const { error } = await soon('the deadlock', outcome(one.inside(() => b.transaction(tx => tx.get('session', ['y'])))))
    assert.deepEqual([error.code, error.label], ['ERR_CASK_DEADLOCK', 'la'])
    one.leave()
    await assert.rejects(one.ended, { code: 'ERR_CASK_DEADLOCK' })
    assert.deepEqual(await soon('the read of the other', waits), {})
    for (const held of [inner, other]) {
      held.leave()
      await soon('an end', held.ended)
    }
    assert.deepEqual([await a.get('session', ['x']), await b.get('session', ['y'])], [{}, { y: 1 }])
  })
})

describe('detached', () => {
  test('leaves every transaction, gives what its work gives, and throws what it throws', async t => {
    const cask = await open(t)
    const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
    const outer = await heldOpen(t, work => a.transaction(work), tx => tx.set({ session: { a: 'staged' } }))
    const inner = await outer.inside(() => heldOpen(t, work => b.transaction(work)))
    const mine = new Error('mine')
    await inner.inside(async () => {
      const result = {}
      assert.equal(detached(() => result), result)
      assert.throws(() => detached(() => { throw mine }), error => error === mine)
      assert.deepEqual(detached(() => [a.isInTransaction(), b.isInTransaction()]), [false, false])
      assert.deepEqual([a.isInTransaction(), b.isInTransaction()], [true, true])
      assert.deepEqual(await detached(() => a.get('session', ['a'])), {})
      await soon('a set', detached(() => a.set({ session: { b: 'at once' } })))
    })
    assert.deepEqual(await a.get('session', ['a', 'b']), { b: 'at once' })
  })

  test('what begins in it stays outside; an event handler leaves the transaction in which its emitter was made', async t => {
    const { keys } = (await open(t)).account()
    const seen = []
    await assert.rejects(keys.transaction(async () => {
      const emitter = new EventEmitter()
      const all = gate()
      const handle = async () => {
        seen.push(keys.isInTransaction())
        await sleep(1)
        await keys.set({ session: { [`handled${seen.length}`]: keys.isInTransaction() } })
        all.open()
      }
      emitter.on('event', () => detached(handle))
      setTimeout(() => emitter.emit('event'), 1)
      await soon('the handler', all.opened)
      await detached(async () => {
        await new Promise(resolve => setImmediate(() => process.nextTick(() => queueMicrotask(resolve))))
        seen.push(keys.isInTransaction())
      })
      assert.equal(keys.isInTransaction(), true)
      throw new Error('rolled back')
    }), /rolled back/)
    assert.deepEqual(seen, [false, false])
    assert.deepEqual(await recordsOf(keys, 'session'), [['handled1', false]])
  })

  test('outside of all it changes nothing, and what is no function is refused', async () => {
    assert.equal(detached(() => 7), 7)
    for (const wrong of [undefined, null, 1, 'work', {}, Promise.resolve()]) assert.throws(() => detached(wrong), { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'work' })
  })
})
