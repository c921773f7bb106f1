import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { lidMappings } from '../lib/data.mjs'
import { atMost, timesAsFast } from '../lib/figures.mjs'
import { diskBytes } from '../lib/measure.mjs'

const BATCH = 500
const ENTRIES = 50_000
/** Peers that make a file per entry write few: what an entry costs them does not depend on how many there are. */
const ENTRIES_WITH_FILES = 2_000
const ENTRIES_QUICK = 10_000

export default {
  name: 'lid-mappings',
  title: '50,000 lid-mappings in batches of 500',
  unit: 'entries/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync', 'lmdb-nosync-blocking'],
  plan: ({ quick }) => quick ? { rounds: 2, warmups: 0 } : { rounds: 7, warmups: 1 },
  async open({ peer, dir, openStore, quick, same }) {
    const entries = peer.startsWith('multi-file') ? ENTRIES_WITH_FILES : quick ? ENTRIES_QUICK : ENTRIES
    const { batches, payloadBytes } = lidMappings(entries, BATCH)
    let rounds = 0
    let disk
    let store
    let keys
    let folder
    return {
      fixed: true,
      async before() {
        folder = `round-${++rounds}`
        store = await openStore(folder)
        keys = await store.account()
      },
      async run() {
        const started = performance.now()
        for (const records of batches) await keys.set({ 'lid-mapping': records })
        return { ops: entries, ms: performance.now() - started }
      },
      async after() {
        const middle = batches[batches.length >> 1]
        same(await keys.get('lid-mapping', Object.keys(middle)), middle)
        await store.close()
        if (peer === 'map') return
        disk = diskBytes(join(dir, folder))
        rmSync(join(dir, folder), { recursive: true, force: true })
      },
      facts: () => disk && { diskPerPayload: disk.allocated / payloadBytes, files: disk.files }
    }
  },
  describe: ({ diskPerPayload, files }) => diskPerPayload &&
    `${diskPerPayload.toFixed(2)} bytes on disk per byte of ids and values, in ${files} files`,
  figures: [
    timesAsFast('lmdb-nosync', 2, 'lmdb without sync'),
    timesAsFast('lmdb-nosync-blocking', 2, 'lmdb without sync, blocking'),
    atMost('disk <= 2x the payload', 2, cask => cask.diskPerPayload, 'ratio')
  ]
}
