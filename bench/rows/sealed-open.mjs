import { fillWithSessions } from '../lib/session-rows.mjs'

const SESSIONS = 1_000

export default {
  name: 'sealed-open',
  title: 'opening of a cask with 1,000 sessions, plain, with a key, and with a passphrase',
  unit: 'opens/s',
  peers: ['cask', 'cask-sealed', 'cask-passphrase'],
  plan: ({ quick }) => quick ? { rounds: 5, warmups: 1 } : { rounds: 21, warmups: 2 },
  async open({ openStore, same }) {
    const filled = await openStore()
    const { ids, values } = await fillWithSessions(await filled.account(), SESSIONS)
    await filled.close()
    let store
    return {
      fixed: true,
      async run() {
        const started = performance.now()
        store = await openStore()
        return { ops: 1, ms: performance.now() - started }
      },
      async after() {
        const keys = await store.account()
        same(await keys.get('session', [ids[0]]), { [ids[0]]: values[0] })
        await store.close()
      }
    }
  }
}
