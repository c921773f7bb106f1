import { timesAsFast } from '../lib/figures.mjs'
import { readLane } from '../lib/session-rows.mjs'

export default {
  name: 'get-30-sessions',
  title: 'get of 30 sessions in one call',
  unit: 'get/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync', 'lmdb-msgpack'],
  open: readLane(30),
  figures: [timesAsFast('sqlite-normal', 7, 'better-sqlite3')]
}
