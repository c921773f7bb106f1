import { timesAsFast } from '../lib/figures.mjs'
import { senderKey } from '../lib/data.mjs'

const KEYS = 64

export default {
  name: 'get-buffer',
  title: 'get of one 2 KB Buffer, hot',
  unit: 'get/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync', 'lmdb-msgpack'],
  async open({ openStore, same }) {
    const store = await openStore()
    const keys = await store.account()
    const all = Object.fromEntries(Array.from({ length: KEYS }, (_, i) => [`12036304${i}@g.us::1000${i}::0`, senderKey(i)]))
    const ids = Object.keys(all).map(id => [id])
    await keys.set({ 'sender-key': all })
    same(await keys.get('sender-key', Object.keys(all)), all)
    return {
      async run(n) {
        for (let i = 0; i < n; i++) await keys.get('sender-key', ids[i % KEYS])
      },
      close: () => store.close()
    }
  },
  figures: [
    timesAsFast('lmdb-nosync', 1.5, 'lmdb, binary encoding'),
    timesAsFast('lmdb-msgpack', 1.5, 'lmdb, default encoding')
  ]
}
