import { timesAsFast } from '../lib/figures.mjs'
import { writeLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-session-power',
  title: 'set of one session, awaited, power',
  unit: 'set/s',
  ours: 'cask-power',
  peers: ['cask-power', 'sqlite-full', 'lmdb-flushed', 'append-sync', 'overwrite-sync'],
  open: writeLane,
  figures: [timesAsFast('append-sync', 0.9, 'bare append + fdatasync', 'cask-power')]
}
