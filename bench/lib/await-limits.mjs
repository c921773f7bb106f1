import { AsyncLocalStorage } from 'node:async_hooks'
import { timeAwaits } from './measure.mjs'

/** An `await` of an async function in a process without any store; `storages` of `AsyncLocalStorage` are in use. */
export const awaitWith = storages => async () => {
  for (let i = 0; i < storages; i++) new AsyncLocalStorage().run({}, () => {})
  return {
    async run(n) {
      return { ms: await timeAwaits(n) }
    }
  }
}
