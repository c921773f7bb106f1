import { timesAsFast } from '../lib/figures.mjs'
import { writeBuffersLane } from '../lib/session-rows.mjs'

export default {
  name: 'set-buffer-power',
  title: 'set of one 2 KB Buffer, awaited, power',
  unit: 'set/s',
  ours: 'cask-power',
  peers: ['cask-power', 'sqlite-full', 'lmdb-flushed', 'append-sync', 'overwrite-sync'],
  open: writeBuffersLane(1),
  figures: [timesAsFast('append-sync', 0.9, 'bare append + fdatasync', 'cask-power')]
}
