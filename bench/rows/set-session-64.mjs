import { timesAsFast } from '../lib/figures.mjs'
import { writeInFlightLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-session-64',
  title: 'set of one session, 64 in flight, process',
  unit: 'set/s',
  peers: [
    'cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync', 'lmdb-nosync-blocking', 'append', 'json-encode'
  ],
  open: writeInFlightLane,
  figures: [timesAsFast('sqlite-normal', 4, 'better-sqlite3 NORMAL')]
}
