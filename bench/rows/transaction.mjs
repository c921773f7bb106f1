import { timesAsFast } from '../lib/figures.mjs'
import { inFreshProcesses } from '../lib/plans.mjs'
import { transactionLane } from '../lib/transaction-rows.mjs'

export default {
  name: 'transaction',
  title: 'transaction of one get and one set, one label',
  unit: 'transactions/s',
  isolate: true,
  plan: inFreshProcesses,
  peers: [
    'cask', 'cask-wrapped', 'map', 'multi-file', 'multi-file-cached', 'sqlite-normal', 'sqlite-full', 'lmdb-flushed', 'lmdb-nosync'
  ],
  open: transactionLane(),
  figures: [timesAsFast('sqlite-normal', 6, 'better-sqlite3'), timesAsFast('map', 0.5, 'plain Map')]
}
