import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { deserialize, serialize } from 'node:v8'
import vm from 'node:vm'
import { attachCask, openCask } from 'baileys-cask'
import { open, recordsOf } from './helpers/casks.mjs'
import { PACKAGE, loadAgain } from './helpers/copies.mjs'
import { newPath, tempFolder } from './helpers/folders.mjs'
import { gate, isPending, until, within } from './helpers/gate.mjs'
import { startChild, startWorker } from './helpers/remote.mjs'
import { runScript } from './helpers/script.mjs'

const SOON_MS = 10_000
let names = 0

/** Shared casks: one in memory by name, one in a folder. */
const PLACES = {
  'in memory': () => ({ name: `cask ${process.pid} ${names++}` }),
  'in a folder': t => ({ path: newPath(t) }),
}
const refOf = ({ name, path }) => name ?? path

for (const [place, optionsFor] of Object.entries(PLACES)) describe(place, () => {
  test('opening twice gives two handles to one store; it closes with the last', async t => {
    const options = optionsFor(t)
    const [a, b] = await Promise.all([openCask(options), openCask(options)])
    assert.notEqual(a, b)
    await a.account().keys.set({ other: { a: 1 } })
    assert.deepEqual(await b.account().keys.get('other', ['a']), { a: 1 })
    await a.close()
    await assert.rejects(a.accounts(), { code: 'ERR_CASK_CLOSED' })
    await b.account().keys.set({ other: { b: 2 } })
    assert.deepEqual(await recordsOf(b.account().keys, 'other'), [['a', 1], ['b', 2]])
    await b.close()
    assert.throws(() => attachCask(refOf(options)), { name: 'CaskError', code: 'ERR_CASK_CLOSED', message: /open it with openCask/ })
    const again = await open(t, options)
    assert.deepEqual(await recordsOf(again.account().keys, 'other'), options.path ? [['a', 1], ['b', 2]] : [])
  })

  test('closing one handle twice does not close the store under the others', async t => {
    const options = optionsFor(t)
    const [a, b] = [await openCask(options), await open(t, options)]
    await Promise.all([a.close(), a.close()])
    await a.close()
    await b.account().keys.set({ other: { a: 1 } })
    assert.deepEqual(await b.account().keys.get('other', ['a']), { a: 1 })
  })

  test('opening while the last handle closes gives a store that works', async t => {
    const options = optionsFor(t)
    let cask = await openCask(options)
    for (let round = 0; round < 60; round++) {
      await cask.account().keys.set({ other: { round } })
      const closing = cask.close()
      const opening = [openCask(options), openCask(options)]
      await closing
      const [next, extra] = await Promise.all(opening)
      const { round: found } = await next.account().keys.get('other', ['round'])
      // In memory the store may have gone before the next one came.
      assert.ok(found === round || (!options.path && found === undefined))
      await extra.close()
      cask = next
    }
    await cask.close()
  })

  test('attachCask counts a handle of its own', async t => {
    const options = optionsFor(t)
    const opened = await openCask(options)
    assert.equal(attachCask(opened), opened)
    const attached = attachCask(refOf(options))
    await opened.account().keys.set({ other: { a: 1 } })
    await opened.close()
    assert.deepEqual(await attached.account().keys.get('other', ['a']), { a: 1 })
    assert.equal(attached.path, opened.path)
    await attached.close()
    assert.throws(() => attachCask(refOf(options)), { code: 'ERR_CASK_CLOSED' })
  })

  test('handles share labels, and each handle\'s transactions are known to the others', async t => {
    const options = optionsFor(t)
    const [a, b] = [(await open(t, options)).account().keys, (await open(t, options)).account().keys]
    const [entered, leave] = [gate(), gate()]
    const first = a.transaction(async () => {
      await a.set({ other: { a: 1 } })
      // The same account through another handle: the same ambient transaction.
      assert.ok(b.isInTransaction())
      assert.deepEqual(await b.get('other', ['a']), { a: 1 })
      entered.open()
      await leave.opened
    }, 'label')
    await entered.opened
    const second = b.transaction(() => b.get('other', ['a']), 'label')
    assert.ok(await isPending(second))
    leave.open()
    await first
    assert.deepEqual(await second, { a: 1 })
  })

  test('an account dropped through one handle is dropped for all, and each can go on with a new one', async t => {
    const options = optionsFor(t)
    const [a, b] = [await open(t, options), await open(t, options)]
    const [ofA, ofB] = [a.account('x'), b.account('x')]
    await ofB.keys.set({ other: { a: 1 } })
    await ofA.drop()
    await assert.rejects(ofB.keys.get('other', ['a']), { code: 'ERR_CASK_DROPPED', account: 'x' })
    const [nextOfA, nextOfB] = [a.account('x'), b.account('x')]
    assert.deepEqual(await nextOfB.keys.get('other', ['a']), {})
    await nextOfB.keys.set({ other: { b: 2 } })
    assert.deepEqual(await nextOfA.keys.get('other', ['b']), { b: 2 })
  })

  test('worker threads see each other\'s writes and wait for each other\'s labels', async t => {
    const options = optionsFor(t)
    const { keys } = (await open(t, options)).account()
    const workers = await Promise.all([startWorker(t), startWorker(t)])
    for (const worker of workers) await worker.run(async ({ openCask, kept }, options) => { kept.keys = (await openCask(options)).account().keys }, options)
    await workers[0].run(({ kept }) => kept.keys.set({ other: { a: 1 } }))
    assert.deepEqual(await workers[1].run(({ kept }) => kept.keys.get('other', ['a'])), { a: 1 })
    assert.deepEqual(await keys.get('other', ['a']), { a: 1 })

    const holding = workers[0].run(({ kept, gate, say }) => kept.keys.transaction(async tx => {
      say('inside')
      await gate('leave')
      await tx.set({ other: { a: 2 } })
    }, 'label'))
    await workers[0].heard('inside')
    const here = keys.transaction(() => keys.get('other', ['a']), 'label')
    const there = workers[1].run(({ kept }) => kept.keys.transaction(() => kept.keys.get('other', ['a']), 'label'))
    assert.ok(await isPending(here) && await isPending(there))
    assert.deepEqual(await keys.get('other', ['a']), { a: 1 })
    workers[0].open('leave')
    await holding
    assert.deepEqual(await Promise.all([here, there]), [{ a: 2 }, { a: 2 }])
  })

  test('increments of several threads under one label are all counted', async t => {
    const options = optionsFor(t)
    const { keys } = (await open(t, options)).account()
    const increments = async ({ openCask }, options) => {
      const { keys } = (await openCask(options)).account()
      await Promise.all(Array.from({ length: 100 }, () => keys.transaction(async tx => {
        const { n = 0 } = await tx.get('other', ['n'])
        await tx.set({ other: { n: n + 1 } })
      }, 'label')))
    }
    const workers = await Promise.all([startWorker(t), startWorker(t), startWorker(t)])
    await Promise.all([...workers.map(worker => worker.run(increments, options)), increments({ openCask: async () => ({ account: () => ({ keys }) }) })])
    assert.deepEqual(await keys.get('other', ['n']), { n: 400 })
  })

  test('no reader sees half a batch or half a commit', async t => {
    const options = optionsFor(t)
    const { keys } = (await open(t, options)).account()
    await keys.set({ other: { a: 0, b: 0 }, session: { c: 0 } })
    const worker = await startWorker(t)
    const written = worker.run(async ({ openCask }, options) => {
      const { keys } = (await openCask(options)).account()
      for (let n = 1; n <= 3000; n++) {
        if (n % 3 === 0) await keys.transaction(async tx => { await tx.set({ other: { b: n } }); await tx.set({ other: { a: n } }) })
        else if (n % 3 === 1) await keys.set({ other: { a: n, b: n } })
        else await keys.transaction(async tx => { await tx.clear(); await tx.set({ other: { a: n, b: n } }) })
      }
    }, options)
    let ended = false
    written.finally(() => (ended = true))
    let seen = 0
    while (!ended) {
      const { a, b } = await keys.get('other', ['a', 'b'])
      assert.equal(a, b)
      if (a !== seen) seen = a
      await new Promise(setImmediate)
    }
    await written
    assert.ok(seen > 0)
    assert.deepEqual(await keys.get('other', ['a', 'b']), { a: 3000, b: 3000 })
  })

  test('a circle across threads is found, and both ends go on', async t => {
    const options = optionsFor(t)
    const { keys } = (await open(t, options)).account()
    const worker = await startWorker(t)
    const there = worker.run(async ({ openCask, gate, say }, options) => {
      const { keys } = (await openCask(options)).account()
      return keys.transaction(async () => {
        say('has b')
        await gate('go')
        await keys.transaction(async () => {}, 'a')
      }, 'b').then(() => 'ended', error => error.code)
    }, options)
    const here = keys.transaction(async () => {
      await worker.heard('has b')
      worker.open('go')
      await keys.transaction(async () => {}, 'b')
    }, 'a').then(() => 'ended', error => error.code)
    assert.deepEqual((await within(SOON_MS, 'both ends', Promise.all([here, there]))).sort(), ['ERR_CASK_DEADLOCK', 'ended'])
  })

  for (const [how, end] of Object.entries({
    'is terminated': worker => worker.terminate(),
    'calls process.exit()': worker => worker.run(() => process.exit(3)).catch(() => {}),
    'throws': worker => worker.run(() => void setImmediate(() => { throw new Error('uncaught') })).catch(() => {}),
  })) {
    test(`a worker that ${how} in a transaction frees its label, its waits and its handles, and commits nothing`, async t => {
      const options = optionsFor(t)
      const cask = await openCask(options)
      const { keys } = cask.account()
      await keys.set({ other: { a: 1 } })
      const worker = await startWorker(t)
      worker.run(async ({ openCask, kept, say, gate }, options) => {
        const cask = await openCask(options)
        kept.more = await Promise.all([openCask(options), openCask(options)])
        const { keys } = cask.account()
        const busy = keys.transaction(async tx => {
          await tx.set({ other: { a: 2, b: 2 } })
          await keys.transaction(async () => { say('inside'); await gate('never') }, 'inner')
        }, 'label')
        await Promise.all([busy, keys.transaction(async () => {}, 'label'), keys.transaction(async () => {}, 'held here')])
      }, options).catch(() => {})
      const leave = gate()
      const heldHere = keys.transaction(() => leave.opened, 'held here')
      await worker.heard('inside')
      const waiting = [keys.transaction(() => keys.get('other', ['a', 'b']), 'label'), keys.transaction(async () => 'inner', 'inner')]
      assert.ok(await isPending(Promise.race(waiting)))
      await end(worker)
      assert.deepEqual(await within(SOON_MS, 'the labels', Promise.all(waiting)), [{ a: 1 }, 'inner'])
      leave.open()
      await heldHere
      await within(SOON_MS, 'the label it waited for', keys.transaction(async () => {}, 'held here'))
      await worker.ended
      await cask.close()
      // Its three handles are given back in the background.
      await until('the store is closed', () => {
        try {
          attachCask(refOf(options)).close()
          return false
        } catch (error) {
          assert.equal(error.code, 'ERR_CASK_CLOSED')
          return true
        }
      })
      const again = await open(t, options)
      assert.deepEqual(await recordsOf(again.account().keys, 'other'), options.path ? [['a', 1]] : [])
    })
  }

  test('workers that end while they open, write and wait leave nothing behind', async t => {
    const options = optionsFor(t)
    const cask = await openCask(options)
    for (let round = 0; round < 8; round++) {
      const worker = await startWorker(t)
      worker.run(async ({ openCask, say }, options) => {
        const opening = Array.from({ length: 5 }, () => openCask(options))
        say('opening')
        const casks = await Promise.all(opening)
        for (let n = 0; ; n++) {
          const { keys } = casks[n % 5].account(`a${n % 3}`)
          keys.transaction(tx => tx.set({ other: { n } }), `l${n % 2}`)
          if (n % 7 === 0) await keys.set({ other: { m: n } })
          if (n === 20) say('writing')
        }
      }, options).catch(() => {})
      await worker.heard(round % 2 ? 'writing' : 'opening')
      await worker.terminate()
    }
    for (const label of ['l0', 'l1']) await within(SOON_MS, label, cask.account('a0').keys.transaction(async () => {}, label))
    await cask.close()
    await until('the store is closed', () => {
      try {
        attachCask(refOf(options)).close()
        return false
      } catch {
        return true
      }
    })
  })

  test('an attach while other threads open and close finds the store every time', async t => {
    const options = optionsFor(t)
    await open(t, options)
    const worker = await startWorker(t)
    let ended = false
    const busy = worker.run(async ({ openCask }, options) => {
      for (let n = 0; n < 300; n++) await (await openCask(options)).close()
    }, options).finally(() => (ended = true))
    while (!ended) {
      const attached = Array.from({ length: 50 }, () => attachCask(refOf(options)))
      await Promise.all(attached.map(cask => cask.close()))
    }
    await busy
  })
})

describe('options', () => {
  test('explicit options that contradict an open store are refused; equal and absent ones are accepted', async t => {
    const path = newPath(t)
    const first = await open(t, { path, durability: 'power', syncIntervalMs: 500 })
    for (const [wrong, argument] of [[{ durability: 'process' }, 'durability'], [{ syncIntervalMs: 501 }, 'syncIntervalMs']]) {
      await assert.rejects(openCask({ path, ...wrong }), { name: 'CaskError', code: 'ERR_CASK_INVALID_ARGUMENT', argument, message: /is already open with .*; leave \w+ out or give the same/ })
    }
    for (const right of [{}, { durability: 'power' }, { syncIntervalMs: 500 }, { durability: 'power', syncIntervalMs: 500, openWaitMs: 5 }]) await (await openCask({ path, ...right })).close()
    await first.account().keys.set({ other: { a: 1 } })
  })

  test('defaults of the open store can contradict too, and do so only where they are asked for', async t => {
    const path = newPath(t)
    await open(t, { path })
    await assert.rejects(openCask({ path, durability: 'power' }), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'durability' })
    await (await openCask({ path, durability: 'process' })).close()
    await (await openCask({ path, syncIntervalMs: 1000 })).close()
  })

  test('a refused open leaves no handle behind', async t => {
    const path = newPath(t)
    const first = await openCask({ path })
    for (let n = 0; n < 5; n++) await assert.rejects(openCask({ path, durability: 'power' }))
    await first.close()
    await (await openCask({ path, durability: 'power' })).close()
  })

  test('a logger hears warnings, once per open', async t => {
    const path = tempFolder(t)
    chmodSync(path, 0o755)
    const heard = []
    const logger = Object.fromEntries(['trace', 'debug', 'info', 'warn', 'error'].map(level => [level, (...said) => heard.push([level, ...said])]))
    await open(t, { path, logger })
    assert.deepEqual(heard.map(([level, { path }, text]) => [level, path, /can be entered by other users \(mode 755\).*give it mode 700/.test(text)]), [['warn', path, true]])
  })
})

describe('paths', () => {
  test('links, relative paths and detours lead to one cask', async t => {
    const folder = tempFolder(t)
    const path = join(folder, 'cask')
    const link = join(folder, 'link')
    const cask = await open(t, { path })
    symlinkSync(path, link)
    symlinkSync(folder, join(folder, 'around'))
    await cask.account().keys.set({ other: { a: 1 } })
    for (const other of [link, `${path}/`, join(folder, 'around', 'link'), `${path}/../cask`, relative(process.cwd(), path)]) {
      const same = await open(t, { path: other })
      assert.equal(same.path, cask.path)
      assert.deepEqual(await same.account().keys.get('other', ['a']), { a: 1 })
      await attachCask(other).close()
    }
  })

  test('a relative path counts from where the process was at the call', async t => {
    const [here, there] = [tempFolder(t), tempFolder(t)]
    const before = process.cwd()
    process.chdir(here)
    const opening = openCask({ path: 'cask' })
    process.chdir(there)
    const cask = await opening.finally(() => process.chdir(before))
    await cask.close()
    assert.deepEqual([readdirSync(here), readdirSync(there)], [['cask'], []])
  })

  test('a link to nowhere becomes no cask beside it', async t => {
    const folder = tempFolder(t)
    symlinkSync(join(folder, 'target'), join(folder, 'link'))
    await openCask({ path: join(folder, 'link') }).then(cask => cask.close(), error => assert.match(error.code, /ERR_CASK_(IO|INVALID_ARGUMENT)/))
    assert.ok(readdirSync(folder).every(name => ['link', 'target'].includes(name)))
  })

  test('logout: a folder that was removed opens afresh, and the old handle says why it ended', async t => {
    const path = newPath(t)
    const old = await openCask({ path })
    const { keys } = old.account()
    await keys.set({ other: { a: 1 } })
    rmSync(path, { recursive: true, force: true })
    const fresh = await open(t, { path })
    assert.deepEqual(await fresh.accounts(), [])
    const check = { name: 'CaskError', code: 'ERR_CASK_DETACHED', path, message: /removed or replaced/ }
    await assert.rejects(keys.get('other', ['a']), check)
    await assert.rejects(keys.set({ other: { b: 1 } }), check)
    await fresh.account().keys.set({ other: { c: 1 } })
    await old.close()
    assert.deepEqual(await recordsOf(fresh.account().keys, 'other'), [['c', 1]])
    await attachCask(path).close()
    assert.deepEqual(await recordsOf(fresh.account().keys, 'other'), [['c', 1]], 'closing the old one does not touch the new one')
  })

  test('logout and login many times over', async t => {
    const path = newPath(t)
    const casks = []
    for (let round = 0; round < 20; round++) {
      const cask = await openCask({ path, durability: round % 2 ? 'power' : 'process' })
      casks.push(cask)
      assert.deepEqual(await cask.accounts(), [])
      await cask.account().keys.set({ other: { round } })
      if (round % 3 === 0) await cask.close()
      rmSync(path, { recursive: true, force: true })
    }
    await Promise.all(casks.map(cask => cask.close()))
    assert.equal(existsSync(path), false)
  })
})

describe('other processes', () => {
  const hold = (child, path) => child.run(async ({ openCask, kept }, path) => {
    kept.cask = await openCask({ path })
    await kept.cask.account().keys.set({ other: { of: process.pid } })
  }, path)

  test('openWaitMs waits for a folder until it is closed', async t => {
    const path = newPath(t)
    const child = await startChild(t)
    await hold(child, path)
    const opening = openCask({ path, openWaitMs: 60_000 })
    const begun = performance.now()
    await assert.rejects(openCask({ path, openWaitMs: 200 }), { code: 'ERR_CASK_LOCKED', pid: child.pid })
    const waited = performance.now() - begun
    assert.ok(waited >= 200 && waited < 5000, `${waited} ms`)
    assert.ok(await isPending(opening))
    await child.run(({ kept }) => kept.cask.close())
    const cask = await within(SOON_MS, 'the folder', opening)
    assert.deepEqual(await cask.account().keys.get('other', ['of']), { of: child.pid })
    await cask.close()
  })

  test('a process that was killed lets the folder go, and what it acknowledged is there', async t => {
    const path = newPath(t)
    const child = await startChild(t)
    await hold(child, path)
    const opening = openCask({ path, openWaitMs: 60_000 })
    assert.ok(await isPending(opening))
    await child.kill()
    const cask = await within(SOON_MS, 'the folder', opening)
    t.after(() => cask.close())
    assert.deepEqual(await cask.account().keys.get('other', ['of']), { of: child.pid })
  })

  test('a process that ended without close lets the folder go', async t => {
    for (const end of ['process.exit(0)', 'throw new Error("on purpose")', 'process.abort()', '']) {
      const path = newPath(t)
      const { stdout } = await runScript(`
        import { openCask } from 'baileys-cask'
        const cask = await openCask({ path: ${JSON.stringify(path)} })
        await cask.account().keys.set({ other: { a: 1 } })
        process.stdout.write('written')
        ${end}`)
      assert.equal(stdout, 'written')
      const cask = await openCask({ path })
      assert.deepEqual(await cask.account().keys.get('other', ['a']), { a: 1 })
      await cask.close()
    }
  })
})

describe('the process', () => {
  const script = (t, source, options) => runScript(`
    import { openCask, useCaskAuthState } from 'baileys-cask'
    const path = ${JSON.stringify(newPath(t))}
    ${source}`, options)

  test('idle casks let it end', async t => {
    const { code, signal, stdout, stderr, late } = await script(t, `
      const casks = await Promise.all([openCask({ path }), openCask(), openCask({ name: 'x' }), openCask({ path: path + '2', durability: 'power' })])
      for (const cask of casks) {
        await cask.account().keys.set({ other: { a: 1 } })
        await cask.account().keys.transaction(tx => tx.set({ other: { b: 1 } }), 'label')
        await cask.flush()
      }
      console.log('idle')`)
    assert.deepEqual({ code, signal, stdout, late }, { code: 0, signal: null, stdout: 'idle\n', late: false }, stderr)
  })

  test('a label that a worker holds keeps it alive until it is granted', async t => {
    const { stdout, stderr, code } = await script(t, `
      import { Worker } from 'node:worker_threads'
      const { keys } = (await openCask({ name: 'x' })).account()
      const worker = new Worker(\`
        const { openCask } = require('baileys-cask')
        require('node:worker_threads').parentPort.once('message', () => {})
        openCask({ name: 'x' }).then(cask => cask.account().keys.transaction(async () => {
          require('node:worker_threads').parentPort.postMessage('held')
          await new Promise(resolve => setTimeout(resolve, 300))
        }, 'label'))\`, { eval: true, execArgv: [] })
      await new Promise(resolve => worker.once('message', resolve))
      worker.unref()
      await keys.transaction(async () => console.log('granted'), 'label')`)
    assert.equal(stdout, 'granted\n', stderr)
    assert.equal(code, 0)
  })

  test('an open, a write, a flush and a close keep it alive until they are answered', async t => {
    const { stdout, stderr } = await script(t, `
      const said = []
      process.on('exit', () => console.log(said.join()))
      const opening = openCask({ path, durability: 'power' })
      opening.then(async cask => {
        said.push('open')
        cask.account().keys.set({ other: { a: 1 } }).then(() => {
          said.push('set')
          cask.flush().then(() => { said.push('flush'); cask.close().then(() => said.push('close')) })
        })
      })`)
    assert.equal(stdout, 'open,set,flush,close\n', stderr)
  })

  test('it ends while casks are closing, opening and writing, without a crash', async t => {
    for (const end of ['process.exit(7)', 'setImmediate(() => process.exit(7))', 'setTimeout(() => process.exit(7), 1)']) {
      const { code, signal, stderr } = await script(t, `
        const casks = await Promise.all(Array.from({ length: 20 }, (_, n) => openCask({ path: path + n, durability: n % 2 ? 'power' : 'process' })))
        for (const [n, cask] of casks.entries()) {
          for (let i = 0; i < 20; i++) cask.account().keys.set({ other: { [i]: Buffer.alloc(3000) } }).catch(() => {})
          if (n % 3) cask.close().catch(() => {})
          openCask({ path: path + 'x' + n }).catch(() => {})
        }
        ${end}`)
      assert.deepEqual({ code, signal }, { code: 7, signal: null }, stderr)
    }
  })
})

describe('copies of the package', () => {
  /** Loads the package inside a vm context with a module table of its own, as Jest does. */
  function loadInContext() {
    const require = createRequire(import.meta.url)
    const context = vm.createContext({ Buffer, process, performance, setTimeout, clearTimeout, setImmediate, queueMicrotask, console, URL })
    const modules = new Map()
    const load = path => {
      if (modules.has(path)) return modules.get(path).exports
      const module = { exports: {} }
      modules.set(path, module)
      const local = name => {
        if (!name.startsWith('.')) return createRequire(path)(name)
        const target = createRequire(path).resolve(name)
        return target.endsWith('.node') ? require(target) : load(target)
      }
      local.resolve = createRequire(path).resolve
      const wrapped = vm.runInContext(`(function (exports, require, module, __filename, __dirname) {${readFileSync(path, 'utf8')}\n})`, context, { filename: path })
      wrapped(module.exports, local, module, path, dirname(path))
      return module.exports
    }
    return { ...load(join(PACKAGE, 'index.js')), context }
  }

  /** The same value with the prototypes of this context. */
  const localised = value => deserialize(serialize(value))

  async function shareOneFolder(t, first, second) {
    const path = newPath(t)
    const [a, b] = await Promise.all([first.openCask({ path }), second.openCask({ path })])
    await a.account().keys.set({ session: { a: { bytes: Buffer.from([1, 2]) } } })
    assert.deepEqual(localised(await recordsOf(b.account().keys, 'session')), [['a', { bytes: Buffer.from([1, 2]) }]])
    await a.account().keys.transaction(async () => {
      assert.ok(b.account().keys.isInTransaction(), 'one ambient context for both copies')
      await b.account().keys.set({ session: { staged: 1 } })
      assert.deepEqual(localised(await a.account().keys.get('session', ['staged'])), { staged: 1 })
      await b.account().keys.transaction(tx => tx.set({ session: { nested: 1 } }), 'label')
      await assert.rejects(b.account().keys.transaction(() => a.close()), { code: 'ERR_CASK_INVALID_ARGUMENT' })
    }, 'label')
    assert.equal((await recordsOf(a.account().keys, 'session')).length, 3)
    assert.equal(first.attachCask(b), b, 'a cask of another copy is a cask')
    const waits = [0, 1].map(n => (n ? a : b).account().keys.transaction(async () => n, 'label'))
    assert.deepEqual(await Promise.all(waits), [0, 1])
    await a.close()
    await b.account().keys.set({ session: { later: 1 } })
    await b.close()
  }

  test('the module cache entry deleted and required again: both copies share stores and context', async t => {
    const copy = loadAgain()
    assert.notEqual(copy.openCask, openCask)
    await shareOneFolder(t, { openCask, attachCask }, copy)
    await shareOneFolder(t, copy, loadAgain())
  })

  test('two vm contexts, as Jest makes them: both copies share stores and context', async t => {
    const [a, b] = [loadInContext(), loadInContext()]
    assert.notEqual(a.openCask, b.openCask)
    await shareOneFolder(t, a, b)
    await shareOneFolder(t, { openCask, attachCask }, a)
  })

  test('values and errors of another vm context are understood', async t => {
    const copy = loadInContext()
    const { keys } = (await open(t)).account()
    const value = vm.runInContext('({ bytes: new Uint8Array([1, 2]), list: [1, { a: null }] })', copy.context)
    await keys.set(vm.runInContext('(value) => ({ session: { a: value } })', copy.context)(value))
    assert.deepEqual(await keys.get('session', vm.runInContext("['a']", copy.context)), { a: { bytes: Buffer.from([1, 2]), list: [1, { a: null }] } })
    for (const bad of ['new Map()', '({ a: new Set() })', 'new Date()']) {
      await assert.rejects(keys.set({ session: { a: vm.runInContext(bad, copy.context) } }), { code: 'ERR_CASK_INVALID_ARGUMENT' })
    }
    await assert.rejects(keys.set(vm.runInContext("new Map([['session', {}]])", copy.context)), { code: 'ERR_CASK_INVALID_ARGUMENT' })
    await assert.rejects(copy.openCask({ pth: 1 }), { code: 'ERR_CASK_INVALID_ARGUMENT', name: 'TypeError' })
    const cask = await copy.openCask()
    await cask.account().keys.set({ session: { a: Buffer.from([3]) } })
    assert.deepEqual(await cask.account().keys.get('session', ['a']).then(found => [...found.a]), [3])
    await cask.close()
  })

  test('two file copies of the addon: a folder held by one is refused by the other with words that fit', async t => {
    const copies = [0, 1].map(() => {
      const folder = tempFolder(t)
      for (const name of ['index.js', 'package.json', 'binding.js', 'js', ...readdirSync(PACKAGE).filter(name => name.endsWith('.node'))]) {
        cpSync(join(PACKAGE, name), join(folder, name), { recursive: true })
      }
      return folder
    })
    const { stdout, stderr, code } = await runScript(`
      import { createRequire } from 'node:module'
      import assert from 'node:assert/strict'
      const require = createRequire(${JSON.stringify(join(PACKAGE, 'index.js'))})
      const [one, two, three] = ${JSON.stringify([PACKAGE, ...copies])}.map(folder => require(folder))
      const path = ${JSON.stringify(newPath(t))}
      const cask = await one.openCask({ path })
      const { keys } = cask.account()
      await keys.set({ other: { a: 1 } })
      for (const copy of [two, three]) {
        await assert.rejects(copy.openCask({ path }), error => {
          assert.equal(error.code, 'ERR_CASK_LOCKED')
          assert.equal(error.pid, process.pid)
          assert.match(error.message, /open in this process through another copy of baileys-cask.*use one copy, or close it there first/)
          return true
        })
        // Casks of their own live side by side, with one ambient context for all.
        const other = (await copy.openCask({ path: path + copies.length++ })).account().keys
        await keys.transaction(async () => {
          assert.equal(other.isInTransaction(), false, 'the same account name of another cask is another account')
          await other.transaction(() => Promise.all([keys.set({ other: { b: 1 } }), other.set({ other: { of: 'copy' } })]), 'label')
          assert.ok(keys.isInTransaction())
        }, 'label')
        assert.deepEqual([await keys.get('other', ['b']), await other.get('other', ['of', 'b'])], [{ b: 1 }, { of: 'copy' }])
        assert.equal(copy.attachCask(cask), cask)
      }
      await cask.close()
      const again = await two.openCask({ path })
      assert.deepEqual(await again.account().keys.get('other', ['a']), { a: 1 })
      console.log('done')`.replace('const [one', 'const copies = []\nconst [one'))
    assert.deepEqual({ code, stdout }, { code: 0, stdout: 'done\n' }, stderr)
  })

  test('copies loaded in workers that come and go do not disturb each other', async t => {
    const { code, signal, stdout, stderr } = await runScript(`
      import { Worker } from 'node:worker_threads'
      import { openCask } from 'baileys-cask'
      const { keys } = (await openCask({ name: 'x' })).account()
      const source = \`
        const load = () => { for (const name of Object.keys(require.cache)) delete require.cache[name]; return require('baileys-cask') }
        Promise.all([load(), load(), load()].map(async ({ openCask }, n) => {
          const { keys } = (await openCask({ name: 'x' })).account()
          for (let i = 0; i < 20; i++) await keys.transaction(async tx => {
            const { count = 0 } = await tx.get('other', ['count'])
            await tx.set({ other: { count: count + 1 } })
          }, 'label')
        })).then(() => process.exit())\`
      for (let round = 0; round < 3; round++) {
        await Promise.all(Array.from({ length: 3 }, () => new Promise((resolve, reject) => new Worker(source, { eval: true, execArgv: [] }).on('exit', resolve).on('error', reject))))
      }
      console.log((await keys.get('other', ['count'])).count)`)
    assert.deepEqual({ code, signal, stdout }, { code: 0, signal: null, stdout: `${3 * 3 * 3 * 20}\n` }, stderr)
  })
})
