import { openCask } from 'baileys-cask'
import { afterwards } from './cleanup.mjs'
import { newPath } from './folders.mjs'
import { until, within } from './gate.mjs'
import { standing } from './locks.mjs'
import { startWorker } from './remote.mjs'

let names = 0

/** Casks that worker threads can share: one in memory by name, one in a folder. */
export const SHARED = {
  'in memory': () => ({ name: `shared ${process.pid} ${names++}` }),
  'in a folder': t => ({ path: newPath(t) }),
}

/** A worker with the cask open: functions that it runs find `cask`, `account` and `keys` in `kept`. */
export async function workerWith(t, options) {
  const worker = await startWorker(t)
  worker.thread = await worker.run(async ({ openCask, kept, threadId }, options) => {
    kept.cask = await openCask(options)
    kept.account = kept.cask.account()
    kept.keys = kept.account.keys
    return threadId
  }, options)
  return worker
}

/** One cask, open here and in some workers. */
export async function sharing(t, options, count = 1) {
  const cask = await openCask(options)
  afterwards(t, () => within(10_000, 'the cask closes', cask.close()))
  const workers = await Promise.all(Array.from({ length: count }, () => workerWith(t, options)))
  return { cask, account: cask.account(), keys: cask.account().keys, workers, worker: workers[0] }
}

/** A transaction of this thread that stands still once its `work` has run, until it is let go or made to fail. */
export function standingHere(t, keys, work = async () => {}, label, options) {
  let [result, failure] = []
  const { entered, leave, ended } = standing(inner => keys.transaction(inner, label, options), async tx => {
    result = await work(tx)
  }, () => {
    if (failure) throw failure
    return result
  })
  // Where the test fails, its cask can close all the same.
  afterwards(t, () => {
    leave()
    return ended.catch(() => {})
  })
  const end = async error => {
    failure = error
    leave()
    return ended
  }
  return { entered: entered.catch(() => {}), ended, leave: () => end(), fail: end }
}

/** Who waits, at all locks of a cask. One that waits for several locks is there for each. */
export const waiters = cask => cask.locks().flatMap(lock => lock.waiters)

/** Waits until so many wait. */
export const waiting = (cask, count) => until(`${count} wait`, () => waiters(cask).length === count)

/** A lock in a few words, such as `record other a exclusive <- shared`: holders' modes, and behind the arrow those of who waits. */
export function inWords({ kind, label, type, id, holders, waiters }) {
  const name = [kind, label, type, id].filter(part => part !== undefined)
  const modes = parties => parties.map(({ mode }) => mode)
  return [...name, ...modes(holders), ...(waiters.length > 0 ? ['<-', ...modes(waiters)] : [])].join(' ')
}

/** All locks of a cask in words. */
export const locksInWords = cask => cask.locks().map(inWords).sort()

/** The same in a worker, on the keys kept there. `work` is sent as text. */
export function standingThere(worker, name, work, label, options) {
  const ended = worker.run(`({ kept, gate, say }) => kept.keys.transaction(async tx => {
    await (${work})(tx, kept)
    say(${JSON.stringify(name)})
    await gate(${JSON.stringify(name)})
  }, ${JSON.stringify(label)}, ${JSON.stringify(options)})`)
  ended.catch(() => {})
  return {
    entered: worker.heard(name),
    ended,
    leave: async () => {
      worker.open(name)
      return ended
    },
  }
}

/** Everything that a thread holds and waits for. */
export const partiesOf = (cask, thread) => cask.locks().flatMap(({ holders, waiters }) => [...holders, ...waiters]).filter(party => party.thread === thread)

/** How a worker can end. */
export const ENDS = {
  'is terminated': worker => worker.terminate(),
  'calls process.exit()': worker => void worker.run(() => process.exit(3)).catch(() => {}),
  'throws': worker => void worker.run(() => void setImmediate(() => { throw new Error('uncaught') })).catch(() => {}),
}

/** Ends a worker, and gives how many milliseconds after its exit event nothing of it was left in the locks. */
export async function lockedAfterExit(cask, worker, end) {
  end(worker)
  await worker.ended
  const exited = performance.now()
  await until('nothing of the worker is left', () => partiesOf(cask, worker.thread).length === 0)
  return performance.now() - exited
}
