import { atMost } from '../lib/figures.mjs'

const ACCOUNTS = 1_000
const ACCOUNTS_QUICK = 100
const FAMILIES = ['session', 'pre-key', 'sender-key', 'sender-key-memory', 'app-state-sync-key', 'app-state-sync-version', 'lid-mapping', 'device-list', 'tctoken', 'identity-key']
/** Calls of a round. */
const CALLS = 5

const MS_PER_SECOND = 1000

export default {
  name: 'stats',
  title: 'stats of 1,000 accounts with ten families each',
  unit: 'looks/s',
  peers: ['cask'],
  async open({ openStore, same, quick }) {
    const store = await openStore()
    const count = quick ? ACCOUNTS_QUICK : ACCOUNTS
    for (let i = 0; i < count; i++) {
      const keys = await store.account(`account-${i}`)
      await keys.set(Object.fromEntries(FAMILIES.map(family => [family, { a: 'x' }])))
      await keys.transaction(tx => tx.get('session', ['a', 'b']), 'label')
    }
    const timed = work => {
      const started = performance.now()
      for (let call = 0; call < CALLS; call++) work()
      return performance.now() - started
    }
    return {
      fixed: true,
      async run() {
        const ms = timed(store.stats)
        const text = store.metrics()
        return { ops: CALLS, ms, values: { metricsMs: timed(store.metrics) / CALLS, metricsBytes: text.length } }
      },
      async facts() {
        const { records, accounts } = store.stats()
        same([records, Object.keys(accounts).length], [count * FAMILIES.length, count])
      },
      close: () => store.close()
    }
  },
  describe: ({ metricsMs, metricsBytes }) => `as text for Prometheus in ${metricsMs.toFixed(1)} ms, ${(metricsBytes / 1024).toFixed(0)} KB`,
  figures: [
    atMost('<= 5 ms for one look', 5, cask => MS_PER_SECOND / cask.median, 'milliseconds')
  ]
}
