import { timesAsFast } from '../lib/figures.mjs'
import { readLane } from '../lib/session-rows.mjs'

export default {
  name: 'get-session',
  title: 'get of one 2 KB session, hot',
  unit: 'get/s',
  peers: ['cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync', 'lmdb-msgpack', 'json-decode'],
  open: readLane(1),
  figures: [
    timesAsFast('sqlite-normal', 6, 'better-sqlite3'),
    timesAsFast('lmdb-nosync', 2, 'lmdb, record structures'),
    timesAsFast('lmdb-msgpack', 2, 'lmdb, default encoding'),
    timesAsFast('multi-file-cached', 0.9, 'multi-file + cache')
  ]
}
