import { timesAsFast } from '../lib/figures.mjs'
import { inFreshProcesses } from '../lib/plans.mjs'
import { transactionLane } from '../lib/transaction-rows.mjs'

export default {
  name: 'transaction-contended',
  title: 'transaction of one get and one set, one label, 64 in flight',
  unit: 'transactions/s',
  isolate: true,
  plan: inFreshProcesses,
  peers: [
    'cask', 'cask-wrapped', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'sqlite-full', 'lmdb-flushed', 'lmdb-nosync'
  ],
  open: transactionLane({ inFlight: 64 }),
  figures: [timesAsFast('sqlite-normal', 4, 'better-sqlite3'), timesAsFast('map', 0.4, 'plain Map')]
}
