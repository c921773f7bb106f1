import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { runScript } from './helpers/script.mjs'

/** What the scripts work with. */
const PRELUDE = `
  import { AsyncResource } from 'node:async_hooks'
  import { EventEmitter } from 'node:events'
  import { openCask } from 'baileys-cask'
  const turn = () => new Promise(setImmediate)
  const cask = await openCask()
  const [a, b, c] = ['a', 'b', 'c'].map(name => cask.account(name).keys)
  const heapBytes = () => { gc(); gc(); return process.memoryUsage().heapUsed }
  /** Names of what is still there after garbage was collected. */
  const alive = async refs => {
    let left = Object.keys(refs)
    for (let n = 0; n < 30 && left.length > 0; n++) {
      await turn()
      gc()
      left = left.filter(name => refs[name].deref() !== undefined)
    }
    return left
  }
  /** What outlives a transaction, as a socket or a timer made inside of it does. */
  const kept = []
  const refs = {}
  const watched = (name, object) => {
    refs[name] = new WeakRef(object)
    return object
  }
`
async function run(source, options = {}) {
  const { code, signal, stdout, stderr, late } = await runScript(PRELUDE + source, { nodeArguments: ['--expose-gc'], ms: 30_000, ...options })
  assert.deepEqual({ code, signal, late }, { code: 0, signal: null, late: false }, stderr)
  return JSON.parse(stdout)
}
const RUNNING = 'console.log(JSON.stringify(await alive(refs))); process.exit(0)'

/** What may be left of a transaction that has ended. */
const LEFT = {
  'its handle': 'kept.push(tx)',
  'methods of its handle': 'kept.push(tx.get, tx.set, tx.transaction)',
  'a resource of its async context': 'kept.push(new AsyncResource("kept"))',
  'a timer': 'kept.push(setInterval(() => {}, 1e6))',
  'a promise that never settles': 'kept.push((async () => { await new Promise(never => kept.push(never)); tx.get("session", ["a"]) })())',
}

describe('what has ended keeps nothing alive', () => {
  for (const [what, keep] of Object.entries(LEFT)) test(`where ${what} is left: no result, error, signal or reason of an abort, and no work`, async () => {
    const left = await run(`
      await (async () => {
        await a.transaction(watched('work that committed', async tx => { ${keep}; return watched('result', { big: new Array(1000) }) }), 'l')
        await a.transaction(watched('work that threw', async tx => { ${keep}; throw watched('error', new Error('thrown')) }), 'l').catch(() => {})
        await a.transaction(async tx => {
          ${keep}
          await tx.transaction(async tx => { ${keep}; return watched('inner result', {}) }, 'i')
          await tx.transaction(async tx => { ${keep}; throw watched('inner error', new Error('inner')) }, 'i').catch(() => {})
          await tx.transaction(async tx => { ${keep}; return watched('independent result', {}) }, 'i', { nested: 'independent' })
        })
        const controller = watched('controller', new AbortController())
        const aborted = a.transaction(async tx => { ${keep}; await turn() }, 'l', { signal: watched('signal', controller.signal) })
        controller.abort(watched('reason', { some: 'reason' }))
        await aborted.catch(error => watched('error of the abort', error))
        await a.transaction(async tx => { ${keep}; await turn() }, 'l', { timeoutMs: 1e6, signal: watched('signal that was not aborted', new AbortController().signal) })
        const patient = await openCask({ transactionTimeoutMs: 20 })
        await patient.account().keys.transaction(async tx => { ${keep}; await new Promise(done => setTimeout(done, 200)) }, 'l').catch(error => watched('error of the time-out', error))
        // Its work ends after it was given up.
        await new Promise(done => setTimeout(done, 300))
        await turn()
      })()
      ${RUNNING}`)
    assert.deepEqual(left, [])
  })

  test('also in the middle of the chain, where what began inside still runs', async () => {
    const left = await run(`
      await (async () => {
        const done = []
        await a.transaction(watched('middle work', async () => {
          done.push(b.transaction(async () => {
            await turn()
            await turn()
            // The one around has ended.
            done.push(c.transaction(() => new Promise(() => kept.push(new AsyncResource('innermost'))), 'l'))
            await new Promise(() => {})
          }, 'l'))
          return watched('middle result', {})
        }))
        await a.transaction(watched('middle work that threw', async () => {
          b.transaction(() => new Promise(() => kept.push(new AsyncResource('inner'))), 'm')
          throw watched('middle error', new Error('middle'))
        })).catch(() => {})
        await turn()
        await turn()
        await turn()
      })()
      ${RUNNING}`)
    assert.deepEqual(left, [])
  })
})

const LENGTH = 75_000

/**
 * Ways to begin the next transaction in the async context of one that has ended. Each defines \`step(n)\`, which begins one and calls
 * \`next()\` where the one after it is to begin.
 */
const CHAINS = {
  'a callback left over from the one before': `
    const step = () => { a.transaction(async tx => { setImmediate(next) }, 'l') }`,
  'an emitter made inside the one before': `
    const step = () => {
      const emitter = new EventEmitter()
      a.transaction(async tx => {
        emitter.on('end', AsyncResource.bind(next))
        await tx.set({ session: { a: 1 } })
      }, 'l').then(() => setImmediate(() => emitter.emit('end')))
    }`,
  'what one that was rolled back has left over': `
    const step = () => {
      a.transaction(async () => {
        setImmediate(next)
        throw failure
      }, 'l').catch(() => {})
    }`,
  'what committed and rolled back ones have left over, by turns, on three accounts': `
    const step = n => {
      [a, b, c][n % 3].transaction(async () => {
        setImmediate(next)
        if (n % 2) throw failure
      }, 'l').catch(() => {})
    }`,
  'the work of the one before, which ends before the next one does, on two accounts': `
    const step = n => {
      const keys = n % 2 ? a : b
      keys.transaction(async () => {
        await turn()
        next()
      })
    }`,
}

describe(`a chain of ${LENGTH} transactions, each begun in the async context of one that has ended, costs no growing memory or time`, () => {
  for (const [by, step] of Object.entries(CHAINS)) test(`where each is begun by ${by}`, async () => {
    const { bytes, ratio, locks, last } = await run(`
      const failure = new Error('rolled back')
      let n = 0
      let ended
      const marks = []
      const next = () => {
        // A fifth at a time; the first one warms up.
        if (n % ${LENGTH / 5} === 0) marks.push({ bytes: heapBytes(), at: performance.now() })
        if (n === ${LENGTH}) return ended()
        step(n++)
      }
      ${step}
      await new Promise(resolve => { ended = resolve; next() })
      await turn()
      await turn()
      const took = marks.slice(1).map(({ at }, i) => at - marks[i].at)
      await a.set({ session: { last: 1 } })
      console.log(JSON.stringify({
        bytes: marks[5].bytes - marks[1].bytes,
        ratio: took[4] / took[1],
        locks: cask.locks().length,
        last: await a.get('session', ['last'])
      }))
      await cask.close()`)
    assert.deepEqual({ locks, last }, { locks: 0, last: { last: 1 } })
    // One left behind by each would be 60,000 times some hundred bytes.
    assert.ok(bytes < 4_000_000, `the heap has grown by ${bytes} bytes`)
    assert.ok(ratio < 5, `the last fifth took ${ratio} times as long as the second one`)
  })

  // A worker's stack is smaller: what frees one after the other by calling itself shows here first.
  test('nor does its end overflow the stack of a worker thread', async () => {
    const ended = await run(`
      const { Worker } = await import('node:worker_threads')
      const worker = new Worker(\`
        const { openCask } = require('baileys-cask')
        openCask().then(async cask => {
          const [a, b] = ['a', 'b'].map(name => cask.account(name).keys)
          const turn = () => new Promise(setImmediate)
          let n = 0
          let ended
          const next = () => {
            if (n === ${LENGTH}) return ended()
            const keys = n++ % 2 ? a : b
            keys.transaction(async () => { await turn(); next() })
          }
          await new Promise(resolve => { ended = resolve; next() })
          await turn()
          await cask.close()
          require('node:worker_threads').parentPort.postMessage('ended')
        })\`, { eval: true, execArgv: [] })
      worker.on('message', said => console.log(JSON.stringify(said)))`)
    assert.equal(ended, 'ended')
  })
})
