import { timesAsFast } from '../lib/figures.mjs'
import { inFreshProcesses } from '../lib/plans.mjs'
import { writeLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-session',
  title: 'set of one session, awaited, process',
  unit: 'set/s',
  plan: inFreshProcesses,
  peers: [
    'cask', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'lmdb-nosync', 'lmdb-nosync-blocking', 'append', 'json-encode'
  ],
  open: writeLane,
  figures: [
    timesAsFast('sqlite-normal', 6, 'better-sqlite3 NORMAL'),
    timesAsFast('append', 0.2, 'bare append')
  ]
}
