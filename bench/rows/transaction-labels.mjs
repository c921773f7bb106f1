import { timesAsFast } from '../lib/figures.mjs'
import { inFreshProcesses } from '../lib/plans.mjs'
import { transactionLane } from '../lib/transaction-rows.mjs'

export default {
  name: 'transaction-labels',
  title: 'transaction of one get and one set, 1,000 labels, 64 in flight',
  unit: 'transactions/s',
  isolate: true,
  plan: inFreshProcesses,
  peers: [
    'cask', 'cask-wrapped', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'sqlite-full', 'lmdb-flushed', 'lmdb-nosync'
  ],
  open: transactionLane({ labels: 1000, inFlight: 64 }),
  figures: [timesAsFast('sqlite-normal', 5, 'better-sqlite3')]
}
