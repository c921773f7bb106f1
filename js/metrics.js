'use strict'

const { wrongType } = require('./errors.js')
const { checkOptions, flag } = require('./options.js')

/** @typedef {import('../index.js').CaskStats} CaskStats */
/** @typedef {import('../index.js').AccountStats} AccountStats */
/** @typedef {import('../index.js').Histogram} Histogram */
/** @typedef {import('../index.js').LogStats} LogStats */

const PREFIX = 'baileys_cask_'
const MS_PER_SECOND = 1000

/** What Prometheus allows as a name of a label; names with two underscores at their start are its own. */
const LABEL_NAME = /^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/
/** Labels that series have anyway. */
const OWN_LABELS = ['account', 'family', 'from', 'outcome', 'le']

/** Text in the format that Prometheus scrapes, version 0.0.4. */
class Exposition {
  /** @param {Record<string, string>} labels of every series */
  constructor(labels) {
    this.text = ''
    this.constant = Object.entries(labels).map(([name, value]) => label(name, value)).join(',')
    this.name = ''
  }

  /**
   * Begins a metric.
   * @param {'counter' | 'gauge' | 'histogram'} type
   * @param {string} name
   * @param {string} help
   */
  begin(type, name, help) {
    this.name = PREFIX + name
    this.text += `# HELP ${this.name} ${help}\n# TYPE ${this.name} ${type}\n`
  }

  /**
   * Adds a series of the metric.
   * @param {number} value
   * @param {string} [labels]
   * @param {string} [suffix]
   */
  add(value, labels = '', suffix = '') {
    const all = this.constant && labels ? `${this.constant},${labels}` : this.constant || labels
    this.text += all ? `${this.name}${suffix}{${all}} ${value}\n` : `${this.name}${suffix} ${value}\n`
  }

  /**
   * @param {'counter' | 'gauge'} type
   * @param {string} name
   * @param {string} help
   * @param {number} value
   */
  single(type, name, help, value) {
    this.begin(type, name, help)
    this.add(value)
  }

  /**
   * @param {string} name
   * @param {string} help
   * @param {Histogram} histogram
   * @param {number} [unit] how much of it is one of what is told
   */
  histogram(name, help, { bounds, counts, count, sum }, unit = 1) {
    this.begin('histogram', name, help)
    let below = 0
    bounds.forEach((bound, place) => {
      below += /** @type {number} */ (counts[place])
      this.add(below, `le="${bound === Infinity ? '+Inf' : bound / unit}"`, '_bucket')
    })
    this.add(sum / unit, '', '_sum')
    this.add(count, '', '_count')
  }

}

/**
 * @param {string} name
 * @param {string} value
 */
function label(name, value) {
  const escaped = value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
  return `${name}="${escaped}"`
}

/**
 * What both a cask and an account have counted, but for histograms.
 * @type {[name: string, help: string, of: (stats: AccountStats) => number][]}
 */
const COUNTERS = [
  ['failed_commits_total', 'Batches that failed.', (stats) => stats.failedCommits],
  ['written_bytes_total', 'Bytes of the batches that were committed.', (stats) => stats.writtenBytes],
  ['deadlocks_total', 'Waits for locks that would never have ended.', (stats) => stats.deadlocks],
  ['lock_timeouts_total', 'Waits for locks that were longer than allowed.', (stats) => stats.lockTimeouts],
  ['transaction_timeouts_total', 'Transactions that took longer than allowed.', (stats) => stats.transactionTimeouts],
  ['aborted_transactions_total', 'Transactions that a signal has ended.', (stats) => stats.aborted]
]

/** The same, of which an account has no histogram. @type {typeof COUNTERS} */
const ACCOUNT_COUNTERS = [
  ['commits_total', 'Batches that were committed.', (stats) => stats.commits.count],
  ['commit_seconds_total', 'Time from handing batches over until they were acknowledged.', (stats) => stats.commits.sum / MS_PER_SECOND],
  ['lock_waits_total', 'Waits for locks.', (stats) => stats.lockWaits.count],
  ['lock_wait_seconds_total', 'Time spent in waits for locks.', (stats) => stats.lockWaits.sum / MS_PER_SECOND],
  ...COUNTERS
]

/** Labels of families, which are few and come again with every account. */
class FamilyLabels {
  constructor() {
    /** @type {Map<string, string>} */
    this.known = new Map()
  }

  /** @param {string} family */
  of(family) {
    let found = this.known.get(family)
    if (found === undefined) this.known.set(family, (found = label('family', family)))
    return found
  }
}

/**
 * @param {Exposition} to
 * @param {string} prefix
 * @param {[labels: string, stats: AccountStats][]} all
 */
function describeContents(to, prefix, all) {
  const family = new FamilyLabels()
  const join = (/** @type {string} */ labels, /** @type {string} */ more) => (labels ? `${labels},${more}` : more)
  to.begin('gauge', `${prefix}records`, 'Records by family.')
  for (const [labels, { families }] of all) for (const [name, { records }] of Object.entries(families)) to.add(records, join(labels, family.of(name)))
  to.begin('gauge', `${prefix}record_bytes`, 'Bytes that records take, by family.')
  for (const [labels, { families }] of all) for (const [name, { bytes }] of Object.entries(families)) to.add(bytes, join(labels, family.of(name)))
  to.begin('gauge', `${prefix}creds`, 'Accounts that have creds.')
  for (const [labels, { creds }] of all) to.add(creds.records, labels)
  to.begin('gauge', `${prefix}creds_bytes`, 'Bytes that creds take.')
  for (const [labels, { creds }] of all) to.add(creds.bytes, labels)
  to.begin('counter', `${prefix}reads_total`, 'Records that were read, by where they were found.')
  for (const [labels, { reads }] of all) {
    to.add(reads.cached, join(labels, 'from="memory"'))
    to.add(reads.log, join(labels, 'from="log"'))
    to.add(reads.absent, join(labels, 'from="nowhere"'))
  }
  to.begin('counter', `${prefix}transactions_total`, 'Transactions that have ended, by how.')
  for (const [labels, { transactions }] of all) {
    to.add(transactions.committed, join(labels, 'outcome="committed"'))
    to.add(transactions.rolledBack, join(labels, 'outcome="rolled_back"'))
  }
}

/**
 * @param {Exposition} to
 * @param {LogStats} log
 */
function describeLog(to, log) {
  to.single('gauge', 'log_segments', 'Segments of the log.', log.segments)
  to.single('gauge', 'log_bytes', 'Bytes of the log.', log.bytes)
  to.single('gauge', 'log_live_bytes', 'Bytes of the log that records take; the rest is what compaction gives back.', log.liveBytes)
  to.single('gauge', 'queued_batches', 'Batches that wait to be written.', log.queuedBatches)
  to.single('counter', 'appended_bytes_total', 'Bytes that were appended to the log.', log.appendedBytes)
  to.single('counter', 'compactions_total', 'Compactions of the log.', log.compactions)
  to.single('counter', 'compacted_bytes_total', 'Bytes of segments that compaction has replaced.', log.compactedBytes)
  to.single('counter', 'copied_bytes_total', 'Bytes of segments that compaction has written for them.', log.copiedBytes)
  to.single('gauge', 'poisoned', 'Whether a sync has failed, so that nothing is written until the cask is opened again.', Number(log.poisoned))
  to.histogram('sync_duration_seconds', 'How long syncs took.', log.syncs, MS_PER_SECOND)
  to.histogram('log_read_duration_seconds', 'How long it took to read a value that was not in memory.', log.reads, MS_PER_SECOND)
  to.histogram('group_batches', 'Batches that had to wait and were written together.', log.groups)
}

/**
 * @param {CaskStats} stats
 * @param {Record<string, string>} labels
 */
function expose(stats, labels) {
  const to = new Exposition(labels)
  describeContents(to, '', [['', stats]])
  for (const [name, help, of] of COUNTERS) to.single('counter', name, help, of(stats))
  to.histogram('commit_duration_seconds', 'How long it took from handing a batch over until it was acknowledged.', stats.commits, MS_PER_SECOND)
  to.histogram('batch_records', 'Records that a batch wrote or removed.', stats.batchRecords)
  to.histogram('lock_wait_duration_seconds', 'How long those waited that had to wait for locks.', stats.lockWaits, MS_PER_SECOND)
  to.single('gauge', 'open_transactions', 'Transactions that have not ended.', stats.openTransactions)
  to.single('gauge', 'locks', 'Locks that are held or waited for.', stats.locks)
  to.single('gauge', 'lock_waiters', 'Calls that wait for locks.', stats.lockWaiters)
  to.single('gauge', 'index_bytes', 'Bytes of memory that the index of records takes.', stats.indexBytes)
  to.single('gauge', 'cache_bytes', 'Bytes in the cache of values, that of the process where casks share one.', stats.cache.bytes)
  to.single('gauge', 'cache_capacity_bytes', 'Bytes that the cache of values may have.', stats.cache.capacityBytes)
  if (stats.log) describeLog(to, stats.log)
  const accounts = Object.entries(stats.accounts).map(([name, account]) => /** @type {[string, AccountStats]} */ ([label('account', name), account]))
  if (accounts.length > 0) {
    describeContents(to, 'account_', accounts)
    for (const [name, help, of] of ACCOUNT_COUNTERS) {
      to.begin('counter', `account_${name}`, help)
      for (const [labels, account] of accounts) to.add(of(account), labels)
    }
  }
  return to.text
}

/**
 * @param {string} name
 * @param {any} value
 */
function constantLabels(name, value) {
  const fits = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!fits) throw wrongType(name, `${name} is an object of values by names of labels`)
  for (const [key, text] of Object.entries(value)) {
    if (!LABEL_NAME.test(key)) throw wrongType(name, `${name}.${key} is no name of a label: letters, digits and underscores, no digit first`)
    if (OWN_LABELS.includes(key)) throw wrongType(name, `${name}.${key} is a label that series have already; take another name`)
    if (typeof text !== 'string' || !text.isWellFormed()) throw wrongType(name, `${name}.${key} is a string`)
  }
}

const CHECKS = { accounts: flag, labels: constantLabels }

/**
 * @param {(options: { accounts: boolean }) => CaskStats} stats
 * @param {unknown} options
 * @returns {string}
 */
function metrics(stats, options) {
  const { accounts = true, labels = {} } = checkOptions(options, ['accounts', 'labels'], CHECKS)
  return expose(stats({ accounts }), labels)
}

module.exports = { metrics }
