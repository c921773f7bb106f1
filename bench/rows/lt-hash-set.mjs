import { timesAsFast } from '../lib/figures.mjs'
import { ltHashSetLane } from '../lib/lt-hash-rows.mjs'

export default {
  name: 'lt-hash-set',
  title: 'set of an LTHash state with 5,000 entries',
  unit: 'set/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync'],
  plan: ({ quick }) => quick ? {} : { rounds: 15, roundMs: 100 },
  open: ltHashSetLane,
  figures: [timesAsFast('sqlite-normal', 5, 'better-sqlite3 with BufferJSON')]
}
