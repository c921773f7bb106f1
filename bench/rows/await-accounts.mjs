import { atMost } from '../lib/figures.mjs'
import { pairedRatio, timeAwaits } from '../lib/measure.mjs'
import { inFreshProcesses } from '../lib/plans.mjs'
import { makeTransactions } from '../lib/transaction-rows.mjs'

const ACCOUNTS = 1_000
const ACCOUNTS_QUICK = 100
/** Accounts that transact before each round. */
const ACTIVE = 20

export default {
  name: 'await-accounts',
  title: 'an await of something else, 1,000 accounts in use',
  unit: 'awaits/s',
  isolate: true,
  plan: inFreshProcesses,
  peers: ['cask', 'map', 'await-storage', 'await'],
  async open({ openStore, same, quick }) {
    const store = await openStore()
    const accounts = []
    for (let i = 0; i < (quick ? ACCOUNTS_QUICK : ACCOUNTS); i++) {
      const keys = store.transactional(await store.account(`account-${i}`))
      accounts.push(await makeTransactions(keys, ['peer'], same, i))
    }
    let next = 0
    return {
      async before() {
        for (let i = 0; i < ACTIVE; i++) await accounts[next++ % accounts.length].transact()
      },
      async run(n) {
        return { ms: await timeAwaits(n) }
      },
      async facts() {
        for (const { check } of accounts) await check()
      },
      close: () => store.close()
    }
  },
  describe: ({ median }) => `${(1e9 / median).toFixed(0)} ns`,
  figures: [
    atMost('<= 1.1x as with none, an AsyncLocalStorage in use', 1.1, (cask, peers) => peers['await-storage'] && pairedRatio(peers['await-storage'], cask), 'ratio')
  ]
}
