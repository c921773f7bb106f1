import { timesAsFast } from '../lib/figures.mjs'
import { writeInFlightLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-session-power-64',
  title: 'set of one session, 64 in flight, power',
  unit: 'set/s',
  ours: 'cask-power',
  peers: ['cask-power', 'sqlite-full', 'lmdb-flushed', 'append-sync', 'overwrite-sync'],
  open: writeInFlightLane,
  figures: [timesAsFast('append-sync', 8, 'bare append + fdatasync', 'cask-power')]
}
