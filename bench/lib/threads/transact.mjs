// Runs transactions on records of its own, in a store that other threads have open as well.
import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { openPeer } from '../../stores/index.mjs'
import { answerer } from '../calls.mjs'
import { makeTransactions } from '../transaction-rows.mjs'

/** So many transactions at a time are taken from the work that all threads share: the last thread has nobody to wait for. */
const SHARE = 16

const { peer, dir, thread, records } = workerData
const store = await openPeer(peer, dir)
const keys = store.transactional(await store.account())
const ids = Array.from({ length: records }, (_, i) => `${thread}-${i}`)
const { transact, check } = await makeTransactions(keys, ids, assert.deepStrictEqual)

parentPort.on('message', answerer({
  ready: () => {},
  /** Takes from `left` until nothing is left. */
  async run({ left }) {
    while (Atomics.sub(left, 0, SHARE) > 0) {
      for (let i = 0; i < SHARE; i++) await transact()
    }
  },
  check,
  async close() {
    await store.close()
    setImmediate(() => parentPort.close())
  }
}, message => parentPort.postMessage(message)))
