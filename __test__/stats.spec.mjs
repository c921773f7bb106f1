import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { openCask } from 'baileys-cask'
import { collect, inEveryPlace, inFolders, open } from './helpers/casks.mjs'
import { newPath } from './helpers/folders.mjs'
import { gate, until, within } from './helpers/gate.mjs'
import { SHARED, sharing, standingHere } from './helpers/threads.mjs'

const SOON_MS = 10_000
const ACCOUNTS = ['a', 'b', '__proto__']
const FAMILIES = ['session', 'lid-mapping', 'creds', 'other', '__proto__']
const IDS = ['1', '2', 'a/b', '__proto__', 'x'.repeat(300)]

/** What a cask holds by its own account. */
const holding = stats => {
  const of = ({ records, bytes, creds, families }) => ({ records, bytes, creds, families })
  const accounts = Object.entries(stats.accounts).map(([name, account]) => [name, of(account)])
  return { ...of(stats), accounts: Object.fromEntries(accounts.filter(([, { bytes }]) => bytes > 0)) }
}

/** How many records there are, by listing them. */
async function counted(cask) {
  const found = {}
  for (const name of await cask.accounts()) {
    const account = cask.account(name)
    const families = {}
    for (const family of FAMILIES) {
      const ids = await collect(account.keys.listIds(family))
      if (ids.length > 0) Object.defineProperty(families, family, { value: ids.length, enumerable: true })
    }
    Object.defineProperty(found, name, { value: { creds: (await account.loadCreds()) === undefined ? 0 : 1, families }, enumerable: true })
  }
  return found
}

const tally = ({ creds, families }) => {
  const counts = {}
  for (const [family, { records }] of Object.entries(families)) Object.defineProperty(counts, family, { value: records, enumerable: true })
  return { creds: creds.records, families: counts }
}

const tallies = stats => {
  const all = {}
  for (const [name, account] of Object.entries(stats.accounts)) {
    if (account.bytes > 0) Object.defineProperty(all, name, { value: tally(account), enumerable: true })
  }
  return all
}

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0)

inEveryPlace(place => {
  const openHere = async (t, options) => open(t, { ...await place.optionsFor(t), ...options })

  test('a new cask holds nothing and has done nothing', async t => {
    const cask = await openHere(t)
    const { commits, batchRecords, lockWaits, log, indexBytes, cache, ...rest } = cask.stats()
    assert.deepEqual(rest, {
      records: 0, bytes: 0, creds: { records: 0, bytes: 0 }, families: {}, reads: { cached: 0, log: 0, absent: 0 }, failedCommits: 0, writtenBytes: 0,
      transactions: { committed: 0, rolledBack: 0 }, deadlocks: 0, lockTimeouts: 0, transactionTimeouts: 0, aborted: 0, accounts: {},
      openTransactions: 0, locks: 0, lockWaiters: 0,
    })
    for (const { count, sum: all, bounds, counts } of [commits, batchRecords, lockWaits]) {
      assert.deepEqual([count, all, sum(counts), counts.length, bounds.at(-1)], [0, 0, 0, bounds.length, Infinity])
      assert.ok(bounds.every((bound, at) => at === 0 || bound > bounds[at - 1]) && Object.isFrozen(bounds))
    }
    assert.equal(indexBytes, 0)
    assert.equal(log === undefined, !place.isFile)
    assert.deepEqual(cache.capacityBytes > 0, place.isFile === true)
  })

  test('records are counted as they come and go, and the same after reopening', async t => {
    const options = await place.optionsFor(t)
    const records = fc.dictionary(fc.constantFrom(...IDS), fc.option(fc.nat(5000), { nil: null, freq: 2 }), { maxKeys: 4 })
    const step = fc.record({
      account: fc.constantFrom(...ACCOUNTS),
      data: fc.dictionary(fc.constantFrom(...FAMILIES), records, { maxKeys: 3 }),
      does: fc.constantFrom('set', 'set', 'set', 'commit', 'saveCreds', 'clear', 'drop'),
    })
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
      const name = place.isFile ? { path: join(newPath(t), '..', 'each') } : {}
      let cask = await openCask({ ...options, ...name })
      try {
        for (const { account: of, data, does } of steps) {
          const account = cask.account(of)
          const values = Object.fromEntries(Object.entries(data).map(([family, ids]) => [family, Object.fromEntries(Object.entries(ids).map(([id, size]) => [id, size === null ? null : 'x'.repeat(size)]))]))
          if (does === 'set') await account.keys.set(values)
          if (does === 'commit') await account.keys.transaction(tx => tx.set(values), 'label')
          if (does === 'saveCreds') await account.saveCreds({ values })
          if (does === 'clear') await account.keys.clear()
          if (does === 'drop') await account.drop()
        }
        const stats = cask.stats()
        assert.deepEqual(tallies(stats), await counted(cask))
        for (const field of ['records', 'bytes']) assert.equal(stats[field], sum(Object.values(stats.accounts).map(account => account[field])))
        assert.equal(stats.bytes, sum(Object.values(stats.families).map(({ bytes }) => bytes)) + stats.creds.bytes)
        assert.equal(stats.records, sum(Object.values(stats.families).map(({ records: count }) => count)))
        if (stats.log) assert.equal(stats.log.liveBytes, stats.bytes)
        if (!place.isFile) return
        await cask.close()
        cask = await openCask({ ...options, ...name })
        assert.deepEqual(holding(cask.stats()), holding(stats))
        await cask.compact()
        assert.deepEqual(tallies(cask.stats()), tallies(stats))
        assert.equal(cask.stats().log.liveBytes, cask.stats().bytes)
      } finally {
        await cask.close()
      }
    }), { numRuns: 25 })
  })

  test('bytes are those of the values, and follow them', async t => {
    const cask = await openHere(t)
    const { keys } = cask.account()
    await keys.set({ session: { a: Buffer.alloc(1000) } })
    const { bytes } = cask.stats().families.session
    assert.ok(bytes >= 1000 && bytes < 1150, `${bytes}`)
    await keys.set({ session: { a: Buffer.alloc(3000) } })
    assert.equal(cask.stats().families.session.bytes - bytes, 2000)
    await keys.set({ session: { a: null } })
    assert.deepEqual([cask.stats().bytes, cask.stats().families], [0, {}])
  })

  test('reads are counted one by one, by where they were found', async t => {
    const cask = await openHere(t)
    const { keys } = cask.account()
    await keys.set({ session: { a: 1, b: 2 } })
    await keys.get('session', ['a'])
    await keys.get('session', ['a', 'b', 'no', 'nor'])
    await keys.get('session', ['neither'])
    await keys.transaction(async tx => {
      await tx.get('session', ['a'])
      await tx.set({ session: { b: 3 } })
      await tx.get('session', ['b', 'c'])
    })
    assert.deepEqual(cask.stats().reads, { cached: 4, log: 0, absent: 4 })
    assert.deepEqual(cask.stats().accounts.default.reads, cask.stats().reads)
  })

  test('each batch is one commit, whoever makes it, with its records and bytes', async t => {
    const cask = await openHere(t)
    const { keys, saveCreds } = cask.account()
    await keys.set({ session: { a: Buffer.alloc(300), b: null }, 'pre-key': { 1: 'x' } })
    await saveCreds({ me: 1 })
    await keys.transaction(async tx => {
      await tx.set({ session: { a: 1 } })
      await tx.set({ session: { a: 2, b: 2 } })
      await tx.transaction(inner => inner.set({ session: { c: 3 } }))
    })
    await keys.transaction(async () => {})
    await keys.set({})
    const { commits, batchRecords, writtenBytes, failedCommits } = cask.stats()
    assert.deepEqual([commits.count, batchRecords.count, batchRecords.sum, failedCommits], [3, 3, 3 + 1 + 3, 0])
    assert.deepEqual(batchRecords.counts.slice(0, 3), [1, 0, 2])
    assert.ok(commits.sum > 0 && commits.sum < SOON_MS)
    assert.ok(writtenBytes > 300 && writtenBytes < 500, `${writtenBytes}`)
  })

  test('transactions are counted when they end, by how', async t => {
    const cask = await openHere(t)
    const { keys } = cask.account()
    const fails = async () => { throw new Error('as planned') }
    await keys.transaction(async () => {})
    await keys.transaction(tx => tx.transaction(async () => {}))
    await assert.rejects(keys.transaction(fails), /as planned/)
    await keys.transaction(tx => assert.rejects(tx.transaction(fails)))
    assert.deepEqual(cask.stats().transactions, { committed: 4, rolledBack: 2 })
    const stays = gate()
    const signal = AbortSignal.abort()
    await assert.rejects(keys.transaction(async () => {}, 'x', { signal }), { code: 'ERR_CASK_ABORTED' })
    const leaver = new AbortController()
    const entered = gate()
    const left = keys.transaction(async () => { entered.open(); await stays.opened }, 'x', { signal: leaver.signal })
    await entered.opened
    assert.equal(cask.stats().openTransactions, 1)
    leaver.abort()
    await assert.rejects(within(SOON_MS, 'the abortion', left), { code: 'ERR_CASK_ABORTED' })
    await assert.rejects(within(SOON_MS, 'the limit', keys.transaction(() => stays.opened, 'x', { timeoutMs: 40 })), { code: 'ERR_CASK_TRANSACTION_TIMEOUT' })
    stays.open()
    const { aborted, transactionTimeouts } = cask.stats()
    assert.deepEqual({ aborted, transactionTimeouts }, { aborted: 1, transactionTimeouts: 1 })
  })

  test('waits for locks are counted with how long they took, and while they last', async t => {
    const cask = await openHere(t)
    const { keys } = cask.account()
    const holder = standingHere(t, keys, tx => tx.set({ session: { a: 1 } }), 'label')
    await holder.entered
    const waits = [keys.set({ session: { a: 2 } }), keys.transaction(tx => tx.get('session', ['a'])), keys.transaction(async () => {}, 'label')]
    const during = cask.stats()
    assert.deepEqual([during.locks, during.lockWaiters, during.openTransactions, during.lockWaits.count], [2, 3, 3, 0])
    await holder.leave()
    await within(SOON_MS, 'all waits end', Promise.all(waits))
    const after = cask.stats()
    assert.deepEqual([after.locks, after.lockWaiters, after.openTransactions, after.lockWaits.count], [0, 0, 0, 3])
    assert.ok(after.lockWaits.sum > 0 && sum(after.lockWaits.counts) === 3)
    assert.deepEqual(after.accounts.default.lockWaits, after.lockWaits)
  })

  test('deadlocks and waits that are too long are counted once, with the account that waited', async t => {
    const cask = await openHere(t, { lockTimeoutMs: 40 })
    const [one, other] = [cask.account('one').keys, cask.account('other').keys]
    const holder = standingHere(t, one, tx => tx.set({ session: { a: 1 } }))
    await holder.entered
    await assert.rejects(one.set({ session: { a: 2 } }), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    await assert.rejects(one.transaction(tx => tx.get('session', ['a'])), { code: 'ERR_CASK_LOCK_TIMEOUT' })
    await holder.leave()
    const patient = await open(t, { ...(place.isFile ? { path: cask.path } : { name: `patient ${process.pid}` }) })
    const keys = patient.account('other').keys
    const [first, second] = [gate(), gate()]
    const circle = [
      keys.transaction(async tx => { await tx.set({ session: { a: 1 } }); first.open(); await second.opened; await tx.set({ session: { b: 1 } }) }),
      keys.transaction(async tx => { await tx.set({ session: { b: 2 } }); second.open(); await first.opened; await tx.set({ session: { a: 2 } }) }),
    ]
    const ends = await within(SOON_MS, 'the circle opens', Promise.allSettled(circle))
    assert.deepEqual(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const timeouts = cask.stats()
    const deadlocks = patient.stats()
    assert.deepEqual([timeouts.lockTimeouts, timeouts.accounts.one.lockTimeouts], [2, 2])
    assert.deepEqual([deadlocks.deadlocks, deadlocks.accounts.other.deadlocks], [1, 1])
    assert.equal(place.isFile ? timeouts.deadlocks : 1, 1, 'handles of one cask tell the same')
    void other
  })

  test('what a dropped account has done stays in the sum, and its name begins anew', async t => {
    const cask = await openHere(t)
    await cask.account('kept').keys.set({ session: { a: 1 } })
    const { keys } = cask.account('gone')
    await keys.set({ session: { a: 1, b: 2 } })
    await keys.transaction(tx => tx.get('session', ['a', 'c']))
    const before = cask.stats()
    await cask.account('gone').drop()
    const after = cask.stats()
    assert.deepEqual(Object.keys(after.accounts), ['kept'])
    assert.equal(after.records, 1)
    for (const field of ['commits', 'batchRecords', 'writtenBytes', 'transactions', 'reads']) assert.deepEqual(after[field], before[field], field)
    await cask.account('gone').keys.set({ session: { a: 1 } })
    const { accounts, commits } = cask.stats()
    assert.deepEqual([accounts.gone.records, accounts.gone.commits.count, commits.count], [1, 1, 3])
  })

  test('accounts are left out where they are not asked for', async t => {
    const cask = await openHere(t)
    await cask.account('a').keys.set({ session: { a: 1 } })
    const { accounts, ...rest } = cask.stats({ accounts: false })
    const { accounts: each, ...same } = cask.stats()
    assert.deepEqual([accounts, Object.keys(each)], [{}, ['a']])
    assert.deepEqual(rest, same)
  })

  test('wrong options are refused, and so is a closed cask', async t => {
    const cask = await openHere(t)
    for (const options of [null, [], 'accounts', { accounts: 1 }, { account: true }]) {
      for (const call of ['stats', 'metrics']) assert.throws(() => cask[call](options), { code: 'ERR_CASK_INVALID_ARGUMENT', name: 'TypeError' })
    }
    await cask.close()
    for (const call of ['stats', 'metrics']) assert.throws(() => cask[call](), { code: 'ERR_CASK_CLOSED' })
  })
})

inFolders(place => {
  const openHere = async (t, options) => open(t, { ...await place.optionsFor(t), ...options })

  test('the log is as long as its files say, and compaction is counted', async t => {
    const cask = await openHere(t)
    const { keys } = cask.account()
    const write = async rounds => {
      for (let round = 0; round < rounds; round++) await keys.set({ 'sender-key': { a: Buffer.alloc(200_000, round), b: Buffer.alloc(100_000, round) } })
    }
    const inFiles = () => {
      const files = readdirSync(cask.path).filter(name => name.endsWith('.seg')).map(name => statSync(join(cask.path, name)).size)
      return { segments: files.length, bytes: sum(files) }
    }
    // Not so much that compaction would have begun.
    await write(8)
    const few = cask.stats().log
    if (place.name === 'in a folder') assert.deepEqual({ segments: few.segments, bytes: few.bytes }, inFiles())
    await write(16)
    await cask.flush()
    const before = cask.stats().log
    assert.ok(before.appendedBytes > 24 * 300_000 && before.bytes <= before.appendedBytes + before.copiedBytes + 1024 * before.segments)
    assert.ok(before.liveBytes > 300_000 && before.liveBytes < 310_000)
    const { bytesBefore, bytesAfter } = await cask.compact()
    // Some of it may be done in the background, and be under way.
    const after = await until('garbage is gone, but for 2 MiB that are left where they are', () => {
      const { log } = cask.stats()
      return log.bytes < 2_500_000 ? log : undefined
    })
    assert.ok(after.compactions > 0 && after.compactedBytes - before.compactedBytes >= bytesBefore && after.copiedBytes - before.copiedBytes >= bytesAfter)
    await until('nothing but what was appended, copied, and the heads of segments is in the log, or was until compaction took it out', () => {
      const { log } = cask.stats()
      const heads = log.bytes - log.appendedBytes - log.copiedBytes + log.compactedBytes
      return heads > 0 && heads <= 20 * 1024
    })
    assert.deepEqual([after.poisoned, after.queuedBatches], [false, 0])
  })

  test('values that are not in memory are read from the log, and that is clocked', async t => {
    const cask = await openHere(t, { cacheBytes: 0 })
    const { keys } = cask.account()
    await keys.set({ session: { a: 1, b: 2 } })
    await keys.get('session', ['a'])
    await keys.get('session', ['a', 'b', 'c'])
    const { reads, log, cache } = cask.stats()
    assert.deepEqual(reads, { cached: 0, log: 3, absent: 1 })
    assert.deepEqual([log.reads.count, log.reads.sum > 0], [3, true])
    assert.deepEqual(cache, { bytes: 0, capacityBytes: 0, isShared: false })
  })

  test('the cache and the index tell what they take', async t => {
    const cask = await openHere(t, { cacheBytes: 1 << 20 })
    const { keys } = cask.account()
    await keys.set({ session: { a: Buffer.alloc(10_000) } })
    const { cache, indexBytes } = cask.stats()
    assert.ok(cache.bytes > 10_000 && cache.bytes < 11_000 && cache.capacityBytes === 1 << 20 && !cache.isShared, JSON.stringify(cache))
    for (let round = 0; round < 20; round++) await keys.set({ 'lid-mapping': Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`id-${round}-${n}`, 'x'])) })
    const more = cask.stats().indexBytes - indexBytes
    assert.ok(more > 10_000 * 30 && more < 10_000 * 64, `${more} bytes for 10,000 records`)
  })

  test('syncs are counted, and batches that wait are counted by how many are written together', async t => {
    const cask = await openHere(t)
    const { keys } = cask.account()
    await Promise.all(Array.from({ length: 40 }, (_, n) => keys.set({ session: { [n]: n } })))
    await cask.flush()
    const { commits, log } = cask.stats()
    assert.equal(commits.count, 40)
    assert.ok(log.syncs.count >= 1 && log.syncs.sum > 0)
    if (place.name !== 'in a folder') {
      assert.equal(log.groups.sum, 40)
      assert.ok(log.groups.count < 40, `${log.groups.count} groups`)
    }
  })
})

for (const [place, optionsFor] of Object.entries(SHARED)) describe(`shared by threads, ${place}`, () => {
  test('handles of all threads tell the same', async t => {
    const { cask, keys, worker } = await sharing(t, optionsFor(t))
    await keys.set({ session: { here: 1 } })
    const there = await worker.run(async ({ kept }) => {
      await kept.keys.set({ session: { there: 1 } })
      return JSON.stringify(kept.cask.stats())
    })
    const here = cask.stats()
    assert.deepEqual([here.records, here.commits.count], [2, 2])
    assert.equal(there, JSON.stringify(here))
  })
})
