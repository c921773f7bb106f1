// What valgrind.mjs runs: worker threads that share a cask with this one, run transactions, and are closed or terminated in the
// middle of them. With `plain` nothing of the addon is loaded, and a map stands for the cask.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

const ROUNDS = 2
const WORKERS = 2
const TRANSACTIONS = 6
const plain = isMainThread ? process.argv[2] === 'plain' : workerData.plain

/** Makes sure that the threads of this process run the addon that was asked for, and no other one that the loader has found. */
function checkLoaded() {
  const loaded = readFileSync('/proc/self/maps', 'utf8').split('\n').filter(line => line.endsWith('.node')).map(line => line.slice(line.indexOf('/')))
  const asked = process.env.NAPI_RS_NATIVE_LIBRARY_PATH
  if (loaded.length === 0 || loaded.some(path => path !== asked)) throw new Error(`not ${asked} was loaded, but ${[...new Set(loaded)].join(', ') || 'no addon'}`)
}

async function open(path) {
  if (!plain) {
    const { openCask } = await import('../../index.mjs')
    const cask = await openCask({ path })
    checkLoaded()
    return cask
  }
  const records = new Map()
  const keys = {
    get: async (type, ids) => Object.fromEntries(ids.filter(id => records.has(id)).map(id => [id, records.get(id)])),
    set: async ({ other }) => Object.entries(other).forEach(([id, value]) => records.set(id, value)),
    transaction: work => work(keys),
  }
  return { account: () => ({ keys }), close: async () => {}, flush: async () => {} }
}

async function count(keys, times) {
  for (let n = 0; n < times; n++) {
    await keys.transaction(async tx => {
      const { count = 0 } = await tx.get('other', ['count'])
      await tx.set({ other: { count: count + 1, bytes: Buffer.alloc(5000, n) } })
    }, 'counter')
    await keys.get('other', ['bytes', 'absent'])
  }
}

async function inWorker() {
  const cask = await open(workerData.path)
  const { keys } = cask.account()
  await count(keys, TRANSACTIONS)
  parentPort.postMessage('counted')
  if (workerData.ends) {
    await cask.close()
    return
  }
  // Until it is terminated, with calls under way.
  for (;;) await Promise.all([count(keys, 1), keys.set({ other: { mine: 1 } })])
}

async function inMain() {
  const path = join(mkdtempSync(join(tmpdir(), 'cask-valgrind-')), 'cask')
  const cask = await open(path)
  const { keys } = cask.account()
  for (let round = 0; round < ROUNDS; round++) {
    const workers = Array.from({ length: WORKERS }, (_, at) => new Worker(fileURLToPath(import.meta.url), { workerData: { path, plain, ends: at === 0 } }))
    const [closes, ...others] = workers
    const closed = once(closes, 'exit')
    await Promise.all([count(keys, TRANSACTIONS), ...workers.map(worker => once(worker, 'message'))])
    await closed
    await Promise.all(others.map(worker => worker.terminate()))
  }
  await cask.flush()
  const { count: counted } = await keys.get('other', ['count'])
  const least = plain ? TRANSACTIONS * ROUNDS : TRANSACTIONS * ROUNDS * (WORKERS + 1)
  if (!(counted >= least)) throw new Error(`${counted} transactions were counted, not ${least}`)
  await cask.close()
  rmSync(join(path, '..'), { recursive: true })
  // Told only now, when all of it was seen to be done.
  writeFileSync(process.argv[3], `${counted} transactions`)
}

await (isMainThread ? inMain() : inWorker())
