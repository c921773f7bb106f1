import { AsyncLocalStorage } from 'node:async_hooks'
import { stat } from 'node:fs/promises'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { timeAwaits } from './measure.mjs'

const TIMES = 300

/** What any process with a socket does: V8 makes `await` fast for the kinds of asynchronous work that it has met, and slower for more of them. */
const workOfAllKinds = async () => {
  await setTimeout(0)
  await setImmediate()
  await new Promise(process.nextTick)
  await new Promise(queueMicrotask)
  await stat('.')
}

/** An `await` of an async function in a process without any store; `storages` of `AsyncLocalStorage` are in use. */
export const awaitWith = storages => async () => {
  const all = Array.from({ length: storages }, () => new AsyncLocalStorage())
  const work = all.reduce((within, storage) => () => storage.run({}, within), workOfAllKinds)
  for (let i = 0; i < TIMES; i++) await work()
  return {
    async run(n) {
      return { ms: await timeAwaits(n) }
    }
  }
}
