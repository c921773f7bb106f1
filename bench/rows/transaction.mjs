import { SESSIONS, sessions } from '../lib/data.mjs'

export default {
  name: 'transaction',
  title: 'transaction of one get and one set, one label',
  unit: 'transactions/s',
  isolate: true,
  peers: [
    'cask', 'cask-wrapped', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'sqlite-full', 'lmdb-flushed', 'lmdb-nosync'
  ],
  async open({ openStore, same }) {
    const values = await sessions()
    const store = await openStore()
    const keys = store.transactional(await store.account())
    let turn = 0
    const transact = () => keys.transaction(async () => {
      const { peer } = await keys.get('session', ['peer'])
      if (!peer) throw new Error('the session is gone')
      await keys.set({ session: { peer: values[++turn % SESSIONS] } })
    }, 'peer@lid')
    await keys.set({ session: { peer: values[0] } })
    await transact()
    same(await keys.get('session', ['peer']), { peer: values[1] })
    return {
      async run(n) {
        for (let i = 0; i < n; i++) await transact()
      },
      close: () => store.close()
    }
  }
}
