import { timesAsFast } from '../lib/figures.mjs'
import { ltHashGetLane } from '../lib/lt-hash-rows.mjs'

export default {
  name: 'lt-hash-get',
  title: 'get of an LTHash state with 5,000 entries',
  unit: 'get/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync'],
  plan: ({ quick }) => quick ? {} : { rounds: 15, roundMs: 100 },
  open: ltHashGetLane,
  figures: [timesAsFast('sqlite-normal', 3, 'better-sqlite3 with BufferJSON')]
}
