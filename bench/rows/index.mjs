import accounts from './accounts.mjs'
import awaitAccounts from './await-accounts.mjs'
import clear from './clear.mjs'
import eventLoop from './event-loop.mjs'
import folders from './folders.mjs'
import get30Sessions from './get-30-sessions.mjs'
import getBuffer from './get-buffer.mjs'
import getSession from './get-session.mjs'
import handOver from './hand-over.mjs'
import hotCommits from './hot-commits.mjs'
import importFolder from './import-folder.mjs'
import lidMappings from './lid-mappings.mjs'
import limits from './limits.mjs'
import ltHashGet from './lt-hash-get.mjs'
import ltHashSet from './lt-hash-set.mjs'
import messages from './messages.mjs'
import messagesWithCask from './messages-with-cask.mjs'
import preKeysGet from './pre-keys-get.mjs'
import preKeysSet from './pre-keys-set.mjs'
import recovery from './recovery.mjs'
import sealedGet from './sealed-get.mjs'
import sealedOpen from './sealed-open.mjs'
import sealedSet from './sealed-set.mjs'
import sealedSmall from './sealed-small.mjs'
import setBufferPower from './set-buffer-power.mjs'
import setBufferPower256 from './set-buffer-power-256.mjs'
import setBufferPower64 from './set-buffer-power-64.mjs'
import setSession from './set-session.mjs'
import setSession64 from './set-session-64.mjs'
import setSessionPower from './set-session-power.mjs'
import setSessionPower64 from './set-session-power-64.mjs'
import smallRecords from './small-records.mjs'
import stacks from './stacks.mjs'
import stacksContended from './stacks-contended.mjs'
import stats from './stats.mjs'
import threads from './threads.mjs'
import transaction from './transaction.mjs'
import transactionContended from './transaction-contended.mjs'
import transactionEmpty from './transaction-empty.mjs'
import transactionLabels from './transaction-labels.mjs'

/**
 * The workloads in the order of a run. A row is
 *
 *   { name, title, unit, peers, open(context) -> lane, ours?, isolate?, once?, plan?, describe?, figures? }
 *
 * and a lane, one per peer, `{ run(n), before?, after?, facts?, close?, opsPerRun?, step?, fixed? }`.
 */
export const rows = [
  limits, getSession, getBuffer, get30Sessions, setSession, setSession64, setSessionPower, setSessionPower64, setBufferPower,
  setBufferPower64, setBufferPower256, transaction, transactionLabels, transactionContended, transactionEmpty, stacks, stacksContended,
  messages, messagesWithCask, preKeysSet, preKeysGet, lidMappings, ltHashSet, ltHashGet, threads, handOver,
  accounts, awaitAccounts, stats, folders, hotCommits, eventLoop, smallRecords, recovery, clear, importFolder,
  sealedSet, sealedSmall, sealedGet, sealedOpen
]
