import { timesAsFast } from '../lib/figures.mjs'
import { writeBuffersLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-buffer-power-64',
  title: 'set of one 2 KB Buffer, 64 in flight, power',
  unit: 'set/s',
  ours: 'cask-power',
  peers: ['cask-power', 'sqlite-full', 'lmdb-flushed', 'append-sync'],
  open: writeBuffersLane(64),
  figures: [timesAsFast('append-sync', 10, 'bare append + fdatasync', 'cask-power')]
}
