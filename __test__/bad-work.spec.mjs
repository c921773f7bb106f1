import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { handleCalls } from './helpers/calls.mjs'
import { open, recordsOf } from './helpers/casks.mjs'
import { turns, within } from './helpers/gate.mjs'
import { runScript } from './helpers/script.mjs'
import { heldOpen, outcome } from './helpers/held-open.mjs'

const SOON_MS = 10_000
const soon = (what, promise) => within(SOON_MS, what, promise)
const RECORDS = { records: [{ type: 'session', id: 'a' }] }
const LONE = ['\ud83d', '\udd11', 'a\ud83d', '\udd11\ud83d', `${'x'.repeat(5000)}\ud83d`]

const mistake = (type, argument, message) => error => {
  assert.ok(error instanceof type, `${error.name}: ${error.message}`)
  assert.deepEqual([error.code, error.argument], ['ERR_CASK_INVALID_ARGUMENT', argument])
  assert.match(error.message, message)
  assert.match(error.stack, /bad-work\.spec\.mjs/)
  return true
}

/** Where a transaction can be begun. */
const PLACES = {
  'the keys': (keys, call) => call(keys),
  'the keys inside a transaction': (keys, call) => keys.transaction(() => call(keys)),
  'a transaction\'s handle': (keys, call) => keys.transaction(tx => call(tx)),
  'keys that ignore the context': (_, call, cask) => call(cask.account('default', { ambient: false }).keys),
}

for (const [place, inPlace] of Object.entries(PLACES)) describe(`by ${place}`, () => {
  /** Each call is refused, nothing has begun, nothing is locked, and the one around it goes on. */
  async function refused(t, calls, check) {
    const cask = await open(t)
    const { keys } = cask.account()
    let begun = 0
    const work = async () => begun++
    await inPlace(keys, async store => {
      for (const call of calls) {
        // A promise that rejects, never a throw.
        let result
        assert.doesNotThrow(() => (result = call(store, work)), String(call))
        await soon(String(call), assert.rejects(result, check))
      }
      if (!place.startsWith('keys')) await store.set({ session: { after: 1 } })
    }, cask)
    await turns()
    assert.deepEqual([begun, cask.locks()], [0, []])
    if (!place.startsWith('keys')) assert.deepEqual(await recordsOf(keys, 'session'), [['after', 1]])
  }

  test('work that is no function is refused', t => refused(t,
    [undefined, null, 1, 'work', {}, [], true, Symbol('x'), Promise.resolve(), { call() {} }].flatMap(bad => [store => store.transaction(bad), store => store.transaction(bad, 'l'), store => store.transactWith(RECORDS, bad)]),
    mistake(TypeError, 'work', /work is a function/)))

  test('what a getter of an argument throws comes as it is, and as a rejection, whatever it is', async t => {
    for (const thrown of [undefined, null, { get code() { throw new Error('code') } }, { code: Object.create(null) }, { code: { toString() { throw new Error('text') } } }, Object.freeze({ code: 'ERR_CASK_MINE' })]) {
      const fail = () => { throw thrown }
      await refused(t, [
        store => store.set({ session: Object.defineProperty({}, 'a', { enumerable: true, get: fail }) }),
        store => store.get('session', Object.defineProperty(['a', 'b'], 1, { get: fail })),
        (store, work) => store.transaction(work, 'l', Object.defineProperty({}, 'signal', { enumerable: true, get: fail })),
        (store, work) => store.transactWith(Object.defineProperty({}, 'records', { get: fail }), work),
      ], error => error === thrown)
    }
  })

  test('a label that is no string, is empty or holds half of a surrogate pair is refused', t => refused(t,
    [null, 0, 1, true, '', {}, [], ['l'], Symbol('x'), 1n, () => 'l', new String('l'), ...LONE].map(label => (store, work) => store.transaction(work, label)),
    mistake(TypeError, 'label', /a label is a string/)))

  test('options that are none, and unknown ones, are refused', async t => {
    await refused(t, [null, 1, 'x', true, [], () => {}].flatMap(options => [(store, work) => store.transaction(work, 'l', options), (store, work) => store.transactWith(RECORDS, work, options)]), mistake(TypeError, 'options', /options are an object/))
    await refused(t, [{ tiemoutMs: 1 }, { label: 'l' }, { timeoutMs: 1, more: 1 }, { toString: 1 }, { constructor: 1 }, Object.create(null, { ['__proto__']: { value: 1, enumerable: true } })].flatMap(options =>
      [(store, work) => store.transaction(work, 'l', options), (store, work) => store.transactWith(RECORDS, work, options)]), mistake(TypeError, 'options', /is not known; known are isolation, nested, signal, timeoutMs/))
  })

  for (const [option, type, values] of [
    ['isolation', TypeError, [null, 1, '', 'records', 'Label', true, {}, ['label']]], ['nested', TypeError, [null, 0, '', 'joined', true, {}]],
    ['timeoutMs', TypeError, [null, '5', true, {}, 1n, [5]]], ['timeoutMs', RangeError, [NaN, -1, 1.5, Infinity, -Infinity, 2 ** 31]], ['signal', TypeError, [null, 1, {}, new AbortController()]],
  ]) {
    test(`${option} that is ${values.map(value => (typeof value === 'bigint' ? '1n' : JSON.stringify(value) ?? String(value))).join(', ')} is refused`, t => refused(t,
      values.flatMap(value => [(store, work) => store.transaction(work, 'l', { [option]: value }), (store, work) => store.transactWith(RECORDS, work, { [option]: value })]), mistake(type, option, new RegExp(option))))
  }

  test('work that throws synchronously makes the promise reject, and rolls back', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    const mine = new Error('mine')
    await inPlace(keys, async store => {
      for (const begin of [work => store.transaction(work), work => store.transaction(work, 'l'), work => store.transactWith(RECORDS, work)]) {
        let result
        assert.doesNotThrow(() => (result = begin(tx => {
          tx.set({ session: { a: 1 } })
          throw mine
        })))
        assert.equal((await soon('its end', outcome(result))).error, mine)
      }
    }, cask)
    assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[], []])
  })

  test('work that returns no promise gives what it returns, with all that it has begun', async t => {
    const cask = await open(t)
    const { keys } = cask.account()
    for (const [n, value] of [undefined, null, 0, '', false, NaN, 7n, Symbol.iterator, { an: 'object' }, [1], () => {}].entries()) {
      await inPlace(keys, async store => {
        for (const begin of [work => store.transaction(work), work => store.transaction(work, 'l'), work => store.transactWith(RECORDS, work)]) {
          const result = begin(tx => {
            tx.set({ session: { [n]: n } })
            return value
          })
          assert.ok(result instanceof Promise)
          assert.ok(Object.is(await soon('its end', result), value))
        }
      }, cask)
      assert.deepEqual(await keys.get('session', [String(n)]), { [n]: n })
    }
  })
})

describe('work that never settles', () => {
  test('keeps no process alive', async () => {
    for (const label of ['undefined', '"label"']) {
      const { code, stdout, late } = await runScript(`
        import { openCask } from 'baileys-cask'
        const cask = await openCask()
        cask.account().keys.transaction(async tx => { await tx.set({ session: { a: 1 } }); console.log('inside'); await new Promise(() => {}) }, ${label})`)
      assert.deepEqual({ code, stdout, late }, { code: 0, stdout: 'inside\n', late: false })
    }
  })

  test('keeps nobody else from anything, but for what it has locked', async t => {
    const cask = await open(t, { transactionTimeoutMs: 100 })
    const { keys } = cask.account()
    const held = await heldOpen(t, work => keys.transaction(work, 'label'), tx => tx.set({ session: { a: 1 } }))
    await soon('another label', keys.transaction(tx => tx.set({ session: { b: 1 } }), 'other'))
    await soon('the label', keys.transaction(tx => tx.set({ session: { a: 2 } }), 'label'))
    assert.equal((await outcome(held.ended)).error?.code, 'ERR_CASK_TRANSACTION_TIMEOUT')
    assert.deepEqual(await recordsOf(keys, 'session'), [['a', 2], ['b', 1]])
  })
})

describe('a handle after its end', () => {
  for (const [how, end] of Object.entries({ committed: async () => {}, 'rolled back': async () => { throw new Error('mine') }, 'thrown at once': () => { throw new Error('mine') } })) {
    test(`is refused in every call, and says so: ${how}`, async t => {
      const cask = await open(t)
      const { keys } = cask.account()
      let handle
      await outcome(keys.transaction(tx => {
        handle = tx
        return end()
      }, 'label'))
      for (const [name, call] of Object.entries(handleCalls(handle))) {
        // In the same turn, and later.
        for (let n = 0; n < 2; n++) {
          const error = (await outcome(call())).error
          assert.deepEqual([error?.name, error?.code, error?.label, error?.retryable], ['CaskError', 'ERR_CASK_TRANSACTION_ENDED', 'label', false], name)
          assert.match(error.message, /transaction label has ended; await everything that belongs to it inside its work/)
          await turns(1)
        }
      }
      assert.equal(handle.isInTransaction(), false)
      assert.deepEqual([await recordsOf(keys, 'session'), cask.locks()], [[], []])
    })
  }
})
