import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { inEveryPlace, open } from './helpers/casks.mjs'
import { pythonWith } from './helpers/python.mjs'

const here = path => fileURLToPath(new URL(`metrics/${path}`, import.meta.url))
const { python, missing } = pythonWith(here('requirements.txt'))

/** What Prometheus reads in an exposition, by a program that is not ours. */
function scrape(text) {
  const { status, stdout, stderr } = spawnSync(python, [here('parse.py')], { input: text, encoding: 'utf8', maxBuffer: 1 << 28 })
  assert.equal(status, 0, stderr)
  const families = JSON.parse(stdout)
  const samples = new Map()
  for (const family of families) {
    for (const [name, labels, value] of family.samples) {
      const series = JSON.stringify([name, Object.entries(labels).sort()])
      assert.ok(!samples.has(series), `${series} is there twice`)
      samples.set(series, value)
    }
  }
  return { families, of: (name, labels = {}) => samples.get(JSON.stringify([`baileys_cask_${name}`, Object.entries(labels).sort()])) }
}

const ODD = 'quoted " back\\nslash\nnew line é 😀'

describe('the exposition', { skip: missing }, () => {
  inEveryPlace(place => {
    const openHere = async t => open(t, await place.optionsFor(t))

    async function used(t) {
      const cask = await openHere(t)
      for (const name of ['a', ODD]) {
        const { keys, saveCreds } = cask.account(name)
        await saveCreds({ me: 1 })
        await keys.set({ session: { a: 1, b: 2 }, [ODD]: { c: 'x' } })
        await keys.get('session', ['a', 'no'])
        await keys.transaction(tx => tx.set({ 'pre-key': { 1: 'x' } }), 'label')
        await assert.rejects(keys.transaction(async () => { throw new Error('as planned') }))
      }
      await cask.flush()
      return cask
    }

    test('tells the same as stats()', async t => {
      const cask = await used(t)
      const stats = cask.stats()
      const { families, of } = scrape(cask.metrics())
      assert.ok(families.every(({ name, type, help }) => name.startsWith('baileys_cask_') && type !== 'unknown' && help.length > 10))
      const told = (prefix, labels, { families: byFamily, creds, reads, transactions, ...plain }) => {
        for (const [family, { records, bytes }] of Object.entries(byFamily)) {
          assert.deepEqual([of(`${prefix}records`, { ...labels, family }), of(`${prefix}record_bytes`, { ...labels, family })], [records, bytes], family)
        }
        assert.deepEqual([of(`${prefix}creds`, labels), of(`${prefix}creds_bytes`, labels)], [creds.records, creds.bytes])
        assert.deepEqual(['memory', 'log', 'nowhere'].map(from => of(`${prefix}reads_total`, { ...labels, from })), [reads.cached, reads.log, reads.absent])
        assert.deepEqual(['committed', 'rolled_back'].map(outcome => of(`${prefix}transactions_total`, { ...labels, outcome })), [transactions.committed, transactions.rolledBack])
        const counters = ['failedCommits', 'writtenBytes', 'deadlocks', 'lockTimeouts', 'transactionTimeouts', 'aborted']
        const names = ['failed_commits', 'written_bytes', 'deadlocks', 'lock_timeouts', 'transaction_timeouts', 'aborted_transactions']
        assert.deepEqual(names.map(name => of(`${prefix}${name}_total`, labels)), counters.map(name => plain[name]))
      }
      told('', {}, stats)
      assert.equal(Object.keys(stats.accounts).length, 2)
      for (const [account, its] of Object.entries(stats.accounts)) {
        told('account_', { account }, its)
        assert.deepEqual(
          ['commits_total', 'commit_seconds_total', 'lock_waits_total', 'lock_wait_seconds_total'].map(name => of(`account_${name}`, { account })),
          [its.commits.count, its.commits.sum / 1000, its.lockWaits.count, its.lockWaits.sum / 1000],
        )
      }
      assert.deepEqual(['open_transactions', 'locks', 'lock_waiters', 'index_bytes', 'cache_bytes', 'cache_capacity_bytes'].map(name => of(name)),
        [0, 0, 0, stats.indexBytes, stats.cache.bytes, stats.cache.capacityBytes])
      const { log } = stats
      const ofLog = ['log_segments', 'log_bytes', 'log_live_bytes', 'queued_batches', 'appended_bytes_total', 'compactions_total', 'compacted_bytes_total', 'copied_bytes_total', 'poisoned']
      assert.deepEqual(ofLog.map(name => of(name)), log ? [log.segments, log.bytes, log.liveBytes, 0, log.appendedBytes, log.compactions, log.compactedBytes, log.copiedBytes, 0] : ofLog.map(() => undefined))
    })

    test('has histograms that add up, in seconds', async t => {
      const cask = await used(t)
      const stats = cask.stats()
      const { of, families } = scrape(cask.metrics())
      const histograms = [
        ['commit_duration_seconds', stats.commits, 1000], ['lock_wait_duration_seconds', stats.lockWaits, 1000], ['batch_records', stats.batchRecords, 1],
        ...(stats.log ? [['sync_duration_seconds', stats.log.syncs, 1000], ['log_read_duration_seconds', stats.log.reads, 1000], ['group_batches', stats.log.groups, 1]] : []),
      ]
      assert.deepEqual(families.filter(({ type }) => type === 'histogram').map(({ name }) => name).sort(), histograms.map(([name]) => `baileys_cask_${name}`).sort())
      for (const [name, { bounds, counts, count, sum }, unit] of histograms) {
        let below = 0
        bounds.forEach((bound, at) => {
          below += counts[at]
          const le = bound === Infinity ? '+Inf' : String(bound / unit)
          assert.equal(of(`${name}_bucket`, { le }), below, `${name} up to ${le}`)
        })
        assert.deepEqual([of(`${name}_sum`), of(`${name}_count`), below], [sum / unit, count, count])
      }
      assert.ok(stats.commits.count === 6 && of('commit_duration_seconds_bucket', { le: '10' }) === 6)
    })
  })

  test('has labels of the caller on every series, and no accounts where they are not wanted', async t => {
    const cask = await open(t, {})
    await cask.account('a').keys.set({ session: { a: 1 } })
    const { families, of } = scrape(cask.metrics({ labels: { cask: ODD, _pod: '' }, accounts: false }))
    const labels = { cask: ODD, _pod: '' }
    assert.ok(families.length > 15 && families.every(({ samples }) => samples.every(([, its]) => its.cask === ODD && its._pod === '')))
    assert.equal(of('records', { ...labels, family: 'session' }), 1)
    assert.ok(families.every(({ name }) => !name.includes('account')))
  })
})

test('what could be no label is refused', async t => {
  const cask = await open(t, {})
  for (const labels of [null, [], 'a', { '0a': 'x' }, { 'a-b': 'x' }, { __a: 'x' }, { '': 'x' }, { account: 'x' }, { le: 'x' }, { a: 1 }, { a: '\ud800' }]) {
    assert.throws(() => cask.metrics({ labels }), { code: 'ERR_CASK_INVALID_ARGUMENT', name: 'TypeError', argument: 'labels' }, JSON.stringify(labels))
  }
})
