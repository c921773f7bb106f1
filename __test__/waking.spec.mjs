import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { collect, open } from './helpers/casks.mjs'
import { afterwards } from './helpers/cleanup.mjs'
import { loadAgain } from './helpers/copies.mjs'
import { newPath } from './helpers/folders.mjs'
import { isPending, turns, within } from './helpers/gate.mjs'
import { runScript } from './helpers/script.mjs'
import { SHARED, sharing, standingHere, standingThere, waiters, waiting } from './helpers/threads.mjs'

const SOON_MS = 10_000
/** More than any call needs. */
const MICROTASKS = 500

/** Whether a promise settles before the event loop turns: after microtasks alone. */
async function settlesAtOnce(promise) {
  let settled = false
  let turned = false
  promise.then(() => (settled = true), () => (settled = true))
  const immediate = setImmediate(() => (turned = true))
  for (let n = 0; n < MICROTASKS && !settled; n++) await null
  clearImmediate(immediate)
  assert.equal(turned, false, 'microtasks come before everything else')
  return settled
}

describe('without contention', () => {
  const thrown = () => { throw new Error('undone') }
  const CALLS = {
    'get': ({ keys }) => keys.get('session', ['a', 'b']),
    'loadCreds': ({ loadCreds }) => loadCreds(),
    'listIds': ({ keys }) => collect(keys.listIds('session')),
    'list': ({ keys }) => collect(keys.list('session')),
    'an empty transaction': ({ keys }) => keys.transaction(async () => {}),
    'an empty transaction with a label': ({ keys }) => keys.transaction(async () => {}, 'label'),
    'a transaction that reads': ({ keys }) => keys.transaction(tx => tx.get('session', ['a'])),
    'a transaction that lists': ({ keys }) => keys.transaction(tx => collect(tx.list('session')), 'label'),
    'a transaction that writes and rolls back': ({ keys }) => keys.transaction(async tx => { await tx.set({ session: { a: 2 } }); thrown() }, 'label'),
    'a transaction with children that rolls back': ({ keys }) => keys.transaction(async tx => {
      await tx.transaction(inner => inner.set({ session: { a: 2 } }), 'inner')
      await tx.transaction(thrown).catch(() => {})
      thrown()
    }),
  }
  /** In a folder these wait for the log. */
  const WRITES = {
    'set': ({ keys }) => keys.set({ session: { a: 2 }, 'pre-key': { 1: null } }),
    'clear': ({ keys }) => keys.clear(),
    'saveCreds': ({ saveCreds }) => saveCreds({ a: 1 }),
    'a transaction with get and set': ({ keys }) => keys.transaction(async tx => {
      const { a } = await tx.get('session', ['a'])
      await tx.set({ session: { a: a + 1 } })
    }),
    'a transaction with get and set under a label, ambient': ({ keys }) => keys.transaction(async () => {
      const { a } = await keys.get('session', ['a'])
      await keys.set({ session: { a: a + 1 } })
    }, 'label'),
    'transactWith': ({ keys }) => keys.transactWith({ records: [{ type: 'session', id: 'b' }, { type: 'session', id: 'a' }] }, tx => tx.set({ session: { a: 2 } })),
    'isolation \'label\'': ({ keys }) => keys.transaction(tx => tx.set({ session: { a: 2 } }), 'label', { isolation: 'label' }),
    'nested transactions, joined and independent': ({ keys }) => keys.transaction(async tx => {
      await tx.transaction(inner => inner.set({ session: { c: 2 } }), 'joined')
      await tx.transaction(inner => inner.set({ session: { d: 2 } }), 'independent', { nested: 'independent' })
      await tx.setCreds({ b: 1 })
    }),
    'twenty in a row under one label': async ({ keys }) => { for (let n = 0; n < 20; n++) await keys.transaction(tx => tx.set({ session: { a: n } }), 'label') },
    'a refused call': ({ keys }) => keys.set({ session: { a: NaN } }),
  }

  const filled = async (t, options) => {
    const account = (await open(t, options)).account()
    await account.keys.set({ session: { a: 1, b: 1 } })
    return account
  }

  for (const [what, call] of Object.entries({ ...CALLS, ...WRITES })) {
    test(`in memory the event loop need not turn: ${what}`, async t => {
      assert.ok(await settlesAtOnce(call(await filled(t))))
    })
  }
  for (const [what, call] of Object.entries(CALLS)) {
    test(`in a folder the event loop need not turn: ${what}`, async t => {
      assert.ok(await settlesAtOnce(call(await filled(t, { path: newPath(t) }))))
    })
  }

  test('while others wait elsewhere the event loop need not turn', async t => {
    const cask = await open(t)
    const account = cask.account()
    await account.keys.set({ session: { a: 1, b: 1 } })
    const holder = standingHere(t, account.keys, tx => tx.set({ 'sender-key': { held: 1 } }), 'held')
    await holder.entered
    const waits = [account.keys.set({ 'sender-key': { held: 2 } }), account.keys.transaction(async () => {}, 'held')]
    await waiting(cask, 2)
    const calls = [CALLS.get, WRITES.set, WRITES.saveCreds, WRITES['a transaction with get and set'], WRITES.transactWith]
    for (const call of calls) assert.ok(await settlesAtOnce(call(account)), String(call))
    await holder.leave()
    await within(SOON_MS, 'those who waited', Promise.all(waits))
  })

  test('a wait does need a turn where the lock is held: what this is measured by can fail', async t => {
    const { keys } = (await open(t)).account()
    const holder = standingHere(t, keys, async () => {}, 'label')
    await holder.entered
    const waits = keys.transaction(async () => {}, 'label')
    assert.equal(await settlesAtOnce(waits), false)
    await holder.leave()
    await within(SOON_MS, 'the one that waited', waits)
  })

  test('a line of transactions of one thread under one label goes on without a turn between them', async t => {
    const { keys } = (await open(t)).account()
    let turned = 0
    let running = true
    const count = () => { turned++; if (running) setImmediate(count) }
    setImmediate(count)
    const line = Array.from({ length: 200 }, (_, n) => keys.transaction(tx => tx.set({ session: { a: n } }), 'label'))
    await within(SOON_MS, 'the line', Promise.all(line))
    running = false
    assert.ok(turned <= 20, `${turned} turns for 200 transactions`)
    assert.deepEqual(await keys.get('session', ['a']), { a: 199 })
  })
})

describe('wake-ups', () => {
  // The threadsafe function of a wake-up runs in an async resource of its own, which can be counted.
  const COUNTED = `
    import { createHook } from 'node:async_hooks'
    const kinds = new Map()
    const wakes = new Map()
    createHook({
      init(id, type) { kinds.set(id, type) },
      before(id) { const type = kinds.get(id); wakes.set(type, (wakes.get(type) ?? 0) + 1) },
    }).enable()
    const { openCask } = await import('baileys-cask')
    const { Worker } = await import('node:worker_threads')
    const napi = () => [...wakes].filter(([type]) => /threadsafe|napi/i.test(type)).reduce((sum, [, count]) => sum + count, 0)
    const name = 'counted'
    const cask = await openCask({ name })
    const { keys } = cask.account()
    const HOLD = \`
      const { parentPort } = require('node:worker_threads')
      require('baileys-cask').openCask({ name: 'counted' }).then(async cask => {
        const { keys } = cask.account()
        await keys.transaction(async tx => {
          await tx.set({ 'device-list': { a: ['0'] }, session: Object.fromEntries(Array.from({ length: 500 }, (_, n) => [n, n])) })
          parentPort.postMessage('holds')
          await new Promise(resolve => parentPort.once('message', resolve))
        })
        await cask.close()
        parentPort.close()
      })\`
    const worker = new Worker(HOLD, { eval: true, execArgv: [] })
    await new Promise(resolve => worker.once('message', resolve))
    `

  test('five hundred waits that are settled at once arrive with a few wake-ups', async () => {
    const { stdout, stderr, code } = await runScript(`${COUNTED}
      const waits = Array.from({ length: 500 }, (_, n) => (n % 2 ? keys.set({ session: { [n]: -n } }) : keys.transaction(tx => tx.get('device-list', ['a']))))
      while (cask.locks().flatMap(({ waiters }) => waiters).length < 500) await new Promise(setImmediate)
      const before = napi()
      worker.postMessage('leave')
      await Promise.all(waits)
      // Those that find nothing left come after the first, which has settled all.
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
      console.log(JSON.stringify({ before, wakes: napi() - before }))`)
    assert.equal(code, 0, stderr)
    const { before, wakes } = JSON.parse(stdout)
    assert.ok(before >= 1, 'the opening was counted, so that the rest is')
    assert.ok(wakes >= 1 && wakes <= 50, `${wakes} wake-ups for 500 waits`)
  })

  test('calls that wait for nothing, or for others of their thread in the same turn, cause next to none', async () => {
    const { stdout, stderr, code } = await runScript(`${COUNTED}
      const before = napi()
      const other = cask.account('other').keys
      for (let n = 0; n < 100; n++) await other.transaction(async tx => { await tx.get('session', ['a']); await tx.set({ session: { a: n } }) }, 'label')
      await Promise.all(Array.from({ length: 100 }, (_, n) => other.transaction(tx => tx.set({ session: { a: n } }))))
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
      const uncontended = napi() - before
      worker.postMessage('leave')
      console.log(JSON.stringify({ before, uncontended }))`)
    assert.equal(code, 0, stderr)
    const { before, uncontended } = JSON.parse(stdout)
    assert.ok(before >= 1, 'the opening was counted, so that the rest is')
    assert.ok(uncontended <= 10, `${uncontended} wake-ups`)
  })
})

describe('what keeps a process alive', () => {
  const OPEN = 'import { openCask } from \'baileys-cask\'; const cask = await openCask(); const { keys, saveCreds } = cask.account();'
  const inFolder = path => OPEN.replace('openCask()', `openCask({ path: ${JSON.stringify(path)}, durability: 'power' })`)
  const HELD = `
    let leave
    keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await tx.setCreds({})
      await new Promise(resolve => (leave = resolve))
    }, 'label')
    while (!leave) await null;`
  /** Only what is under test keeps it alive: timers do not. */
  const LATER = 'setTimeout(() => leave(), 300).unref();'

  for (const [what, source] of Object.entries({
    'an open cask': 'await keys.set({ session: { a: 1 } }); await keys.transaction(tx => tx.get(\'session\', [\'a\']), \'label\')',
    'a transaction that stands still in its work': HELD,
    'waits that have ended': `${HELD}
      const waits = [keys.set({ session: { a: 2 } }), keys.transaction(async () => {}, 'label'), saveCreds({})]
      leave()
      await Promise.all(waits)`,
    'a wait that took too long': `
      const { keys: impatient } = (await openCask({ lockTimeoutMs: 30 })).account()
      impatient.transaction(() => new Promise(() => {}), 'label')
      await impatient.transaction(async () => {}, 'label').catch(() => {})`,
    'a wait that was aborted': `${HELD} await keys.transaction(async () => {}, 'label', { signal: AbortSignal.timeout(30) }).catch(() => {})`,
  })) {
    test(`not ${what}`, async t => {
      for (const head of [OPEN, inFolder(newPath(t))]) {
        const { code, late, stderr } = await runScript(`${head} ${source}; console.log('end')`, { ms: 8000 })
        assert.deepEqual({ code, late }, { code: 0, late: false }, stderr)
      }
    })
  }

  for (const [what, wait] of Object.entries({
    'a transaction that waits for its label': 'keys.transaction(async () => {}, \'label\')',
    'a read that waits': 'keys.transaction(tx => tx.get(\'session\', [\'a\']))',
    'a plain set that waits': 'keys.set({ session: { a: 2 } })',
    'a saveCreds that waits': 'saveCreds({})',
    'a late commit that waits': 'keys.transaction(tx => tx.set({ session: { a: 2 } }), undefined, { isolation: \'label\' })',
    'the last of several waits': 'Promise.race([keys.set({ session: { a: 2 } }), keys.set({ session: { a: 3 } })]).then(() => keys.set({ session: { a: 4 } }))',
    'a wait of a second load of the package': '(await openAgain()).transaction(async () => {}, \'shared\')',
  })) {
    test(`${what}`, async () => {
      const head = OPEN.replace('openCask()', 'openCask({ name: \'x\' })')
      const again = `
        import { createRequire } from 'node:module'
        const require = createRequire(import.meta.url)
        const openAgain = async () => {
          for (const name of Object.keys(require.cache)) delete require.cache[name]
          const copy = await require('baileys-cask').openCask({ name: 'x' })
          copy.account().keys.transaction(() => new Promise(resolve => { const before = leave; leave = () => { before(); resolve() } }), 'shared')
          return copy.account().keys
        }`
      const { code, stdout, stderr } = await runScript(`${head} ${again}
        ${HELD} ${LATER} (${wait}).then(() => console.log('granted'))`, { ms: 8000 })
      assert.deepEqual({ code, stdout }, { code: 0, stdout: 'granted\n' }, stderr)
    })
  }
})

describe('two loads of the package in one thread', () => {
  async function twoLoads(t) {
    const options = SHARED['in memory']()
    const [cask, copy] = [await open(t, options), await loadAgain().openCask(options)]
    afterwards(t, () => within(SOON_MS, 'the copy closes', copy.close()))
    return { options, cask, copy, keys: cask.account().keys, others: copy.account().keys }
  }

  test('each is woken for its own waits, whichever of them lets go', async t => {
    const { cask, keys, others } = await twoLoads(t)
    for (const [holds, waits] of [[keys, others], [others, keys]]) {
      const holder = standingHere(t, holds, tx => tx.set({ session: { a: 1 } }), 'label')
      await holder.entered
      const ended = [waits.transaction(async () => {}, 'label'), waits.set({ session: { a: 2 } }), holds.transaction(tx => tx.get('session', ['a']))]
      await waiting(cask, 3)
      assert.ok(await isPending(Promise.race(ended)))
      await holder.leave()
      await within(SOON_MS, 'all of them', Promise.all(ended))
    }
    assert.deepEqual(cask.locks(), [])
  })

  test('calls of both go on without a turn of the event loop where nothing is held', async t => {
    const { keys, others } = await twoLoads(t)
    for (const one of [keys, others, keys]) {
      assert.ok(await settlesAtOnce(one.transaction(async tx => { await tx.get('session', ['a']); await tx.set({ session: { a: 1 } }) }, 'label')))
    }
  })

  test('a line of both under one label keeps its order, and increments of both are all counted', async t => {
    const { keys, others } = await twoLoads(t)
    const order = []
    const line = Array.from({ length: 100 }, (_, n) => (n % 3 ? keys : others).transaction(async tx => {
      order.push(n)
      const { n: count = 0 } = await tx.get('session', ['n'])
      if (n % 10 === 0) await turns(1)
      await tx.set({ session: { n: count + 1 } })
    }, 'line'))
    await within(SOON_MS, 'the line', Promise.all(line))
    assert.deepEqual(order, Array.from({ length: 100 }, (_, n) => n))
    assert.deepEqual(await keys.get('session', ['n']), { n: 100 })
  })

  test('a worker that lets go wakes both', async t => {
    const { options, cask, keys, others } = await twoLoads(t)
    const { worker } = await sharing(t, options)
    const there = standingThere(worker, 'holds', tx => tx.set({ session: { a: 1 } }), 'label')
    await there.entered
    const ended = [keys, others].flatMap(one => [one.transaction(async () => {}, 'label'), one.set({ session: { a: 2 } })])
    await waiting(cask, 4)
    await there.leave()
    await within(SOON_MS, 'all of them', Promise.all(ended))
    assert.deepEqual(waiters(cask), [])
  })
})
