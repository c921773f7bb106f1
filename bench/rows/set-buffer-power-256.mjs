import { timesAsFast } from '../lib/figures.mjs'
import { writeBuffersLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-buffer-power-256',
  title: 'set of one 2 KB Buffer, 256 in flight, power',
  unit: 'set/s',
  ours: 'cask-power',
  peers: ['cask-power', 'sqlite-full', 'lmdb-flushed', 'append-sync'],
  open: writeBuffersLane(256),
  figures: [timesAsFast('append-sync', 20, 'bare append + fdatasync', 'cask-power')]
}
