// Backup, compaction, verification, repair and the rollback guard, as JavaScript sees them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openCask, repairCask, rewriteCask, verifyCask } from 'baileys-cask'
import { open } from './helpers/casks.mjs'
import { copyFolder, imageOf, logOf, newPath, tempFolder } from './helpers/folders.mjs'
import { contentsOf, damage, fill, rejectsWith, session } from './helpers/upkeep.mjs'

const segmentsOf = folder => readdirSync(folder).filter(name => name.endsWith('.seg')).sort()

test('a backup is a cask with what was there, and the cask goes on', async t => {
  const folder = tempFolder(t)
  const cask = await open(t, { path: join(folder, 'cask') })
  await fill(cask)
  const before = await contentsOf(cask)
  const target = join(folder, 'backup')
  const report = await cask.backup(target)
  assert.equal(report.path, target)
  assert.ok(report.bytes > 0)
  const { linked, cloned, copied } = report.segments
  assert.ok(linked === 0 && cloned + copied === segmentsOf(target).length)
  await cask.account('a').keys.set({ session: { later: session(9) } })
  assert.equal((await verifyCask(target)).ok, true)
  const copy = await open(t, { path: target })
  assert.deepEqual(await contentsOf(copy), before)
  assert.deepEqual(copy.recovery, { cutBytes: 0, cutFrames: 0 })
})

test('a backup by links shares the files', async t => {
  const folder = tempFolder(t)
  const cask = await open(t, { path: join(folder, 'cask') })
  await fill(cask)
  const report = await cask.backup(join(folder, 'backup'), { hardLinks: true })
  assert.deepEqual(report.segments, { linked: segmentsOf(join(folder, 'backup')).length, cloned: 0, copied: 0 })
})

test('a signal stops a backup, and nothing is left of it', async t => {
  const folder = tempFolder(t)
  const cask = await open(t, { path: join(folder, 'cask') })
  await fill(cask)
  const target = join(folder, 'backup')
  const reason = new Error('enough')
  await assert.rejects(cask.backup(target, { signal: AbortSignal.abort(reason) }), { code: 'ERR_CASK_ABORTED', cause: reason })
  const controller = new AbortController()
  const begun = cask.backup(target, { signal: controller.signal })
  controller.abort(reason)
  // It may have been too late.
  const ended = await begun.then(() => true, error => {
    assert.deepEqual([error.code, error.cause], ['ERR_CASK_ABORTED', reason])
    return false
  })
  assert.deepEqual(readdirSync(folder).sort(), ended ? ['backup', 'cask'] : ['cask'])
})

test('close waits for a backup', async t => {
  const folder = tempFolder(t)
  const cask = await open(t, { path: join(folder, 'cask') })
  await fill(cask)
  const ended = []
  const backup = cask.backup(join(folder, 'backup')).then(() => ended.push('backup'))
  await cask.close().then(() => ended.push('close'))
  await backup
  assert.deepEqual(ended, ['backup', 'close'])
  await assert.rejects(cask.backup(join(folder, 'other')), { code: 'ERR_CASK_CLOSED' })
  await assert.rejects(cask.compact(), { code: 'ERR_CASK_CLOSED' })
})

test('a target where something is, and a name of an unfinished folder, are refused', async t => {
  const folder = tempFolder(t)
  const cask = await open(t, { path: join(folder, 'cask') })
  await fill(cask)
  mkdirSync(join(folder, 'left.partial'))
  for (const name of ['cask', 'left', 'x.partial']) {
    await assert.rejects(cask.backup(join(folder, name)), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'target' })
  }
  await cask.backup(join(folder, 'backup'))
  renameSync(join(folder, 'backup'), join(folder, 'backup.partial'))
  await assert.rejects(openCask({ path: join(folder, 'backup.partial') }), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /not finished/ })
})

test('compaction takes what is dead', async t => {
  const path = newPath(t)
  const cask = await open(t, { path })
  // Less than a segment: nothing is compacted by itself, before the call ends it.
  for (let round = 0; round < 30; round++) await cask.account().keys.set({ session: { s: { round, filler: 'x'.repeat(120_000) } } })
  const size = () => segmentsOf(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
  const before = size()
  const { bytesBefore, bytesAfter } = await cask.compact()
  assert.ok(before > 3_000_000 && size() < before / 4, `${before} to ${size()}`)
  // From then on the background may be there before it.
  if (bytesBefore > 0) assert.ok(bytesBefore > 3_000_000 && bytesAfter < bytesBefore / 4, `${bytesBefore} to ${bytesAfter}`)
  assert.equal((await cask.account().keys.get('session', ['s'])).s.round, 29)
  assert.equal((await cask.compact()).bytesBefore, 0)
})

test('a cask in memory has nothing to copy or to compact', async t => {
  const cask = await open(t)
  await assert.rejects(cask.backup(newPath(t)), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /in memory/ })
  await assert.rejects(cask.compact(), { code: 'ERR_CASK_INVALID_ARGUMENT', message: /in memory/ })
})

test('verifying changes nothing and names what is damaged', async t => {
  const path = newPath(t)
  const cask = await open(t, { path })
  await fill(cask)
  await assert.rejects(verifyCask(path), { code: 'ERR_CASK_LOCKED', message: /open in this process/ })
  await cask.close()
  const whole = await verifyCask(path)
  assert.deepEqual(whole.accounts, { a: { records: 3, hasCreds: true, doubtful: 0 }, b: { records: 1, hasCreds: false, doubtful: 0 } })
  assert.deepEqual([whole.ok, whole.damages, whole.tornBytes], [true, [], 0])
  const [name] = segmentsOf(path)
  const bytes = readFileSync(join(path, name))
  damage(join(path, name), bytes.indexOf('first') + 30)
  const before = imageOf(path)
  const report = await verifyCask(path)
  assert.deepEqual(imageOf(path), before)
  assert.equal(report.ok, false)
  assert.equal(report.damages.length, 1)
  const [{ path: file, offset, losesRecords, records }] = report.damages
  assert.deepEqual([file, losesRecords, records], [join(path, name), true, [{ account: 'a', type: 'session', id: 'first' }]])
  assert.ok(offset > 0 && offset < bytes.length)
  await assert.rejects(openCask({ path }), { code: 'ERR_CASK_CORRUPT' })
  await assert.rejects(verifyCask(newPath(t)), { code: 'ERR_CASK_INVALID_ARGUMENT' })
})

test('a repair keeps what is beyond doubt, and the rest where it is asked for', async t => {
  const path = newPath(t)
  const folder = tempFolder(t)
  const cask = await open(t, { path })
  await fill(cask)
  await cask.account('a').keys.set({ session: { doubt: session(5) } })
  await cask.account('b').keys.set({ session: { after: session(6) } })
  await cask.close()
  const [name] = segmentsOf(path)
  damage(join(path, name), readFileSync(join(path, name)).indexOf('doubt') + 10)
  const damaged = logOf(path)
  const held = async (doubtful) => {
    const target = join(folder, String(doubtful))
    const report = await repairCask(path, target, doubtful && { doubtful })
    assert.equal((await verifyCask(target)).ok, true)
    const cask = await open(t, { path: target })
    return { report, contents: await contentsOf(cask) }
  }
  const strict = await held()
  assert.deepEqual(strict.contents, { b: { creds: undefined, session: { after: session(6) } } })
  assert.equal(strict.report.accounts.a.omitted.length, 4)
  assert.deepEqual(strict.report.accounts.a.lost, [{ type: 'session', id: 'doubt' }])
  assert.equal(strict.report.damages.length, 1)
  const fixed = await held('omit-ratchets')
  assert.ok(fixed.contents.a.creds && !fixed.contents.a.session)
  const all = await held('keep')
  assert.deepEqual(Object.keys(all.contents.a.session).sort(), ['first', 'second'])
  assert.equal(all.report.accounts.a.doubtful.length, 4)
  assert.deepEqual(logOf(path), damaged)
})

for (const [what, work] of [['a verification', (path, _, options) => verifyCask(path, options)], ['a repair', repairCask], ['a rewrite', rewriteCask]]) {
  test(`a signal stops ${what}, and nothing is left of it`, async t => {
    const folder = tempFolder(t)
    const path = join(folder, 'cask')
    const cask = await openCask({ path })
    await fill(cask)
    // Some segments.
    const filler = Buffer.alloc(1_000_000, 7)
    for (let i = 0; i < 40; i++) await cask.account('a').keys.set({ 'identity-key': { [i]: filler } })
    await cask.close()
    const before = logOf(path)
    const reason = new Error('enough')
    const target = join(folder, 'new')
    await assert.rejects(work(path, target, { signal: AbortSignal.abort(reason) }), { code: 'ERR_CASK_ABORTED', cause: reason })
    // It may be quicker than a thread that has to wait for its turn.
    for (let ended = true, tries = 0; ended; tries++) {
      assert.ok(tries < 10, 'it was never stopped')
      const place = `${target}-${tries}`
      const controller = new AbortController()
      const begun = work(path, place, { signal: controller.signal })
      controller.abort(reason)
      ended = await begun.then(() => true, error => {
        assert.deepEqual([error.code, error.cause], ['ERR_CASK_ABORTED', reason])
        assert.deepEqual(readdirSync(folder).filter(name => name.startsWith(`new-${tries}`)), [])
        return false
      })
    }
    assert.deepEqual(logOf(path), before)
    // The folder is held by nobody, and the place is free.
    await work(path, target, { signal: new AbortController().signal })
    assert.equal((await verifyCask(existsSync(target) ? target : path)).ok, true)
  })
}

test('wrong arguments are refused', async t => {
  const path = newPath(t)
  const cask = await open(t, { path })
  const mistakes = [
    [() => cask.backup(), 'path'], [() => cask.backup(''), 'path'], [() => cask.backup('a\0b'), 'path'], [() => cask.backup(7), 'path'],
    [() => cask.backup('x', null), 'options'], [() => cask.backup('x', { hard: true }), 'options'],
    [() => cask.backup('x', { hardLinks: 1 }), 'hardLinks'], [() => cask.backup('x', { signal: {} }), 'signal'],
    [() => verifyCask(), 'path'], [() => verifyCask(''), 'path'], [() => repairCask(path), 'target'], [() => repairCask(undefined, 'x'), 'path'],
    [() => repairCask(path, 'x', { doubtful: 'some' }), 'doubtful'], [() => repairCask(path, 'x', { keep: true }), 'options'],
    [() => verifyCask(path, { signal: {} }), 'signal'], [() => repairCask(path, 'x', { signal: {} }), 'signal'], [() => rewriteCask(path, 'x', { signal: {} }), 'signal'],
    [() => openCask({ rollbackGuard: 'x' }), 'rollbackGuard'], [() => openCask({ path: newPath(t), rollbackGuard: '' }), 'rollbackGuard'],
  ]
  for (const [call, argument] of mistakes) await rejectsWith(call, TypeError, argument)
})

/** A logger that keeps its warnings. */
function listener() {
  const warnings = []
  const silent = () => {}
  const logger = { level: 'warn', child: () => logger, trace: silent, debug: silent, info: silent, error: silent, warn: (_, text) => warnings.push(text) }
  return { logger, warnings }
}

/** Opens with a guard, works, closes, and gives the warnings. */
async function guarded(t, path, rollbackGuard, work = async () => {}) {
  const { logger, warnings } = listener()
  const cask = await open(t, { path, rollbackGuard, logger })
  await work(cask)
  await cask.close()
  // A copied folder has the mode of the one that copied it.
  return warnings.filter(text => !text.includes('other users'))
}

test('an older copy of a cask is told of, each time, and a newer one is not', async t => {
  const folder = tempFolder(t)
  const [path, backup, state] = ['cask', 'backup', 'seen.json'].map(name => join(folder, name))
  assert.deepEqual(await guarded(t, path, state, async cask => {
    await fill(cask)
    await cask.backup(backup)
  }), [])
  assert.deepEqual(await guarded(t, backup, state), [], 'nothing was written since')
  assert.deepEqual(await guarded(t, path, state, cask => cask.account('a').keys.set({ session: { first: session(7) } })), [])
  for (let time = 0; time < 2; time++) {
    const warnings = await guarded(t, backup, state)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0], /older copy.*an old ratchet must not be used again/s)
  }
  assert.deepEqual(await guarded(t, path, state), [])
  assert.deepEqual(await guarded(t, join(folder, 'another'), state, fill), [], 'every cask by itself')
  assert.deepEqual(await guarded(t, path, state), [])
  const copy = join(folder, 'plain-copy')
  copyFolder(path, copy)
  assert.deepEqual(await guarded(t, copy, state), [])
})

test('what is wrong with the state file is told, and it is left alone', async t => {
  const folder = tempFolder(t)
  const state = join(folder, 'seen.json')
  for (const text of ['', 'null', '[]', '{"version":2,"casks":{}}', '{"version":1}']) {
    writeFileSync(state, text)
    const warnings = await guarded(t, join(folder, 'cask'), state, fill)
    assert.match(warnings.join(), /rollback guard of .* does not work/, text)
    assert.equal(readFileSync(state, 'utf8'), text)
  }
  const nowhere = await guarded(t, join(folder, 'cask'), join(folder, 'no', 'such', 'folder', 'seen.json'))
  assert.match(nowhere.join(), /rollback guard of .* does not work/)
  assert.ok(!existsSync(join(folder, 'no')))
})

test('many casks share one state file, and one that is open has one state file', async t => {
  const folder = tempFolder(t)
  const state = join(folder, 'seen.json')
  await Promise.all(Array.from({ length: 20 }, (_, n) => guarded(t, join(folder, `cask${n}`), state, fill)))
  assert.equal(Object.keys(JSON.parse(readFileSync(state, 'utf8')).casks).length, 20)
  const path = join(folder, 'cask0')
  await open(t, { path, rollbackGuard: state })
  await open(t, { path })
  await assert.rejects(openCask({ path, rollbackGuard: join(folder, 'other.json') }), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'rollbackGuard' })
})
