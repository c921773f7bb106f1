import { atMost } from '../lib/figures.mjs'
import { turnsDuring } from '../lib/turns.mjs'

/** So many in a row must end without a turn of the event loop. */
const IN_A_TURN = 5_000

const nothing = async () => {}
const microseconds = ({ median }) => 1e6 / median

export default {
  name: 'transaction-empty',
  title: 'transaction that does nothing, one label',
  unit: 'transactions/s',
  isolate: true,
  peers: ['cask', 'cask-stackless', 'cask-wrapped', 'map'],
  // So little happens in each that V8 takes many of them to get to the end of it.
  plan: () => ({ warmups: 6 }),
  async open({ openStore }) {
    const store = await openStore()
    const keys = store.transactional(await store.account())
    const run = async n => {
      for (let i = 0; i < n; i++) await keys.transaction(nothing, 'peer@lid')
    }
    return {
      run,
      async facts() {
        const switches = () => process.resourceUsage().voluntaryContextSwitches
        const before = switches()
        const turns = await turnsDuring(() => run(IN_A_TURN))
        return { turns, sleeps: (switches() - before) / IN_A_TURN }
      },
      close: () => store.close()
    }
  },
  describe: measured =>
    `${microseconds(measured).toFixed(2)} us; ${IN_A_TURN} of them in a row take ${measured.turns} turns of the event loop, and the threads of the ` +
    `process go to sleep ${measured.sleeps.toFixed(3)} times a transaction`,
  figures: [
    atMost('<= 3 us without stacks', 3, microseconds, 'microseconds', 'cask-stackless'),
    atMost('ends without a turn of the event loop', 0, cask => cask.turns, 'number'),
    atMost('no thread sleeps or wakes for it (<= 0.01 times)', 0.01, cask => cask.sleeps, 'times')
  ]
}
