import { timesAsFast } from '../lib/figures.mjs'
import { preKeySetLane } from '../lib/pre-key-rows.mjs'

export default {
  name: 'pre-keys-set',
  title: 'set of 812 pre-keys in one call',
  unit: 'keys/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync'],
  plan: ({ quick }) => quick ? { rounds: 3 } : { rounds: 15 },
  open: preKeySetLane,
  figures: [timesAsFast('sqlite-normal', 3, 'better-sqlite3')]
}
