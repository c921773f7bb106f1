import { atMost, timesAsFast } from '../lib/figures.mjs'
import { awaitNs, descriptors } from '../lib/measure.mjs'
import { makeTransactions } from '../lib/transaction-rows.mjs'

const ACCOUNTS = 200
const ACCOUNTS_QUICK = 50

export default {
  name: 'accounts',
  title: '200 accounts in one store, one transaction each in turn',
  unit: 'transactions/s',
  // Baileys' wrapper makes an AsyncLocalStorage per account. On Node 20 and 22 two hundred of them slow every `await` of the
  // process, so each peer has a process of its own and pays for itself alone.
  isolate: true,
  peers: ['cask', 'map', 'multi-file', 'sqlite-normal', 'lmdb-nosync'],
  plan: ({ quick }) => quick ? { rounds: 3, warmups: 1 } : { rounds: 15, warmups: 2 },
  async open({ openStore, same, quick }) {
    const count = quick ? ACCOUNTS_QUICK : ACCOUNTS
    const awaitNsBefore = await awaitNs()
    const descriptorsBefore = descriptors()
    const store = await openStore()
    const accounts = []
    const add = async at => {
      const keys = store.transactional(await store.account(`account-${at}`))
      // Each reads a session and writes its next state, as one message does.
      accounts.push(await makeTransactions(keys, ['peer'], same, at))
    }
    await add(0)
    const awaitNsWithOne = await awaitNs()
    for (let at = 1; at < count; at++) await add(at)
    const awaitNsWithAll = await awaitNs()
    let descriptorsMost = 0
    return {
      fixed: true,
      async run() {
        const started = performance.now()
        for (const { transact } of accounts) await transact()
        return { ops: count, ms: performance.now() - started }
      },
      after() {
        descriptorsMost = Math.max(descriptorsMost, descriptors() - descriptorsBefore)
      },
      async facts() {
        for (const { check } of accounts) await check()
        return { count, awaitNsBefore, awaitNsWithOne, awaitNsWithAll, descriptors: descriptorsMost }
      },
      close: () => store.close()
    }
  },
  describe: ({ count, awaitNsBefore, awaitNsWithOne, awaitNsWithAll, descriptors: open }) =>
    `an unrelated await takes ${awaitNsBefore.toFixed(0)} ns without a store, ${awaitNsWithOne.toFixed(0)} ns with one account, ` +
    `${awaitNsWithAll.toFixed(0)} ns with ${count}; ${open} file descriptors`,
  figures: [
    timesAsFast('sqlite-normal', 2, 'better-sqlite3'),
    atMost('<= 16 file descriptors', 16, cask => cask.descriptors, 'number'),
    atMost('an unrelated await with 200 accounts <= 1.1x that with one', 1.1, cask => cask.awaitNsWithAll / cask.awaitNsWithOne, 'ratio')
  ]
}
