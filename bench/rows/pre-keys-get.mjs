import { timesAsFast } from '../lib/figures.mjs'
import { preKeyGetLane } from '../lib/pre-key-rows.mjs'

export default {
  name: 'pre-keys-get',
  title: 'get of 812 pre-keys in one call',
  unit: 'keys/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync'],
  plan: ({ quick }) => quick ? { rounds: 3 } : { rounds: 15 },
  open: preKeyGetLane,
  figures: [timesAsFast('sqlite-normal', 5, 'better-sqlite3')]
}
