// Every command without a terminal: what it does, what it prints, its exit code, its JSON document.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { importMultiFile, openCask, verifyCask } from 'baileys-cask'
import { authFolder, ONE_OF_EACH, put, textsIn } from './helpers/auth-folders.mjs'
import { contents, open } from './helpers/casks.mjs'
import { BIN, cli, environment } from './helpers/cli.mjs'
import { imageOf, newPath, tempFolder } from './helpers/folders.mjs'
import { runProgram } from './helpers/script.mjs'
import { runOnSmallDisk } from './helpers/small-disk.mjs'
import { damageRecord, fill, session } from './helpers/upkeep.mjs'

const RECORDS = { 'pre-key': 1, session: 2, 'sender-key': 2, 'sender-key-memory': 3, 'app-state-sync-key': 1, 'app-state-sync-version': 2, 'lid-mapping': 2, 'device-list': 1, tctoken: 3, 'identity-key': 1 }

/** A cask with one account that was imported, and nobody has open. */
async function imported(t, account = 'default', records = ONE_OF_EACH) {
  const path = newPath(t)
  const cask = await openCask({ path })
  await importMultiFile(await authFolder(t, records), cask.account(account))
  await cask.close()
  return path
}

/** The cask of `fill`, closed. */
async function filled(t, more = async () => {}) {
  const path = newPath(t)
  const cask = await openCask({ path })
  await fill(cask)
  await more(cask)
  await cask.close()
  return path
}

/** Demands how a command ends, and that it says nothing that a terminal would obey. */
function assertEnded(ended, code) {
  assert.equal(ended.code, code, `${ended.stdout}${ended.stderr}`)
  assert.equal(ended.signal, null)
  assert.doesNotMatch(ended.stdout + ended.stderr, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
  if (ended.json) assert.deepEqual([ended.json.ok, ended.json.exitCode, ended.stdout.split('\n').length], [code === 0, code, 2])
}

describe('import', () => {
  test('brings a folder into an account, and leaves the folder alone', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const before = imageOf(folder)
    const path = newPath(t)
    const ended = await cli(['import', folder, path, '--account', 'shop-17'])
    assertEnded(ended, 0)
    assert.equal(ended.stderr, '')
    assert.match(ended.stdout, /^Imported: 18 records and the creds are in account shop-17 of /)
    assert.match(ended.stdout, /^sender-key-memory +3$/m)
    const again = await cli(['import', folder, path, '--account', 'shop-17', '--json'])
    assertEnded(again, 0)
    const { present, complete, records } = again.json.result
    assert.deepEqual([present, complete, records, again.json.command, again.json.warnings], [true, true, {}, 'import', []])
    assert.deepEqual(imageOf(folder), before)
    const memory = await open(t)
    await importMultiFile(folder, memory.account('shop-17'))
    assert.deepEqual(await contents(await open(t, { path })), await contents(memory))
  })

  test('tells the numbers as JSON', async t => {
    const ended = await cli(['import', await authFolder(t, ONE_OF_EACH), newPath(t), '--json'])
    assertEnded(ended, 0)
    assert.deepEqual(ended.json.result, {
      account: 'default', complete: true, present: false, creds: true, dryRun: false, records: RECORDS, failed: [], recovered: [], ignored: [],
    })
  })

  test('a dry run makes no cask, and looks at one that is there', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const path = newPath(t)
    const ended = await cli(['import', folder, path, '--dry-run', '--json'])
    assertEnded(ended, 0)
    assert.deepEqual([ended.json.result.dryRun, ended.json.result.records, existsSync(path)], [true, RECORDS, false])
    assert.match((await cli(['import', folder, path, '--dry-run'])).stdout, /^Whole: 18 records and the creds can be imported\. Nothing was written\.$/m)
    const other = await imported(t)
    assertEnded(await cli(['import', folder, other, '--dry-run']), 1)
    assertEnded(await cli(['import', folder, other, '--dry-run', '--account', 'b']), 0)
    assert.deepEqual(await (await open(t, { path: other })).accounts(), ['default'])
  })

  test('files that are not whole are named, with exit code 3; --skip-failed leaves them out', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    put(folder, 'session-torn.0.json', '{"_sessions":')
    put(folder, 'note.txt', 'x')
    const path = newPath(t)
    const ended = await cli(['import', folder, path])
    assertEnded(ended, 3)
    assert.match(ended.stdout, /^Not imported: 1 value cannot be\. Account default of .* cannot be used/)
    assert.match(ended.stdout, /^failed: session-torn\.0\.json: torn: it is not whole: no JSON$/m)
    assert.match(ended.stdout, /^ignored: note\.txt: /m)
    const asJson = await cli(['import', folder, path, '--json'])
    assertEnded(asJson, 3)
    assert.deepEqual(asJson.json.result.failed, [{ file: 'session-torn.0.json', type: 'session', id: 'torn.0', reason: 'torn', message: 'it is not whole: no JSON' }])
    const inspected = await cli(['inspect', path, '--json'])
    assert.deepEqual([inspected.json.result.accounts[0].hasUnfinishedImport, inspected.json.result.accounts[0].creds], [true, null])
    assert.match((await cli(['inspect', path])).stdout, /^unfinished: an import into account default has not ended/m)
    assertEnded(await cli(['import', folder, path, '--skip-failed']), 0)
  })

  test('families with a - of their own', async t => {
    const folder = await authFolder(t)
    put(folder, 'my-own-7.json', '1')
    const { json } = await cli(['import', folder, newPath(t), '--family', 'other-one', '--family', 'my-own', '--json'])
    assert.deepEqual(json.result.records, { 'my-own': 1 })
  })

  test('no folder of Baileys, and nothing is made for it', async t => {
    const path = newPath(t)
    const other = tempFolder(t)
    put(other, 'x.txt', 'x')
    for (const [from, why] of [[other, /holds neither creds\.json nor a record/], [join(other, 'missing'), /does not exist/], [join(other, 'x.txt'), /is a file/]]) {
      const ended = await cli(['import', from, path, '--json'])
      assertEnded(ended, 1)
      assert.equal(ended.json.error.code, 'ERR_CASK_INVALID_ARGUMENT')
      assert.match(ended.json.error.message, why)
      assert.equal(existsSync(path), false)
    }
    const ended = await cli(['import', await authFolder(t), other])
    assertEnded(ended, 1)
    assert.match(ended.stderr, /holds files that are not a cask's/)
    assert.deepEqual(readdirSync(other), ['x.txt'])
  })

  test('an account that has other creds', async t => {
    const path = await imported(t)
    const before = await contents(await open(t, { path: await copyOf(t, path) }))
    const ended = await cli(['import', await authFolder(t), path, '--json'])
    assertEnded(ended, 1)
    assert.deepEqual([ended.json.error.code, ended.json.error.account], ['ERR_CASK_INVALID_ARGUMENT', 'default'])
    assert.deepEqual(await contents(await open(t, { path })), before)
  })
})

/** A backup, since a copy of a folder is as good only while nobody has it open. */
async function copyOf(t, path) {
  const copy = newPath(t)
  assertEnded(await cli(['backup', path, copy]), 0)
  return copy
}

describe('export', () => {
  test('writes what stock Baileys goes on from', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const path = newPath(t)
    await cli(['import', folder, path])
    const out = newPath(t, 'out')
    const ended = await cli(['export', path, out])
    assertEnded(ended, 0)
    assert.match(ended.stdout, /^Exported: 18 records and the creds of account default are in /)
    const values = texts => Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, JSON.parse(text)]))
    const { 'creds.json': creds, ...records } = values(textsIn(out))
    const { 'creds.json': credsBefore, ...before } = values(textsIn(folder))
    assert.deepEqual(creds, credsBefore)
    assert.deepEqual(Object.keys(records), Object.keys(before))
    const refused = await cli(['export', path, out, '--json'])
    assertEnded(refused, 1)
    assert.match(refused.json.error.message, /is not empty/)
    const replaced = await cli(['export', path, out, '--replace', '--json'])
    assertEnded(replaced, 0)
    assert.deepEqual(replaced.json.result, { account: 'default', records: RECORDS })
  })

  test('an account that is not there, and the nearest', async t => {
    const path = await imported(t, 'shop-17')
    for (const [name, why] of [['shop-71', /holds no account shop-71; did you mean shop-17\?/], ['x', /holds no account x; it holds shop-17/]]) {
      const ended = await cli(['export', path, newPath(t), '--account', name, '--json'])
      assertEnded(ended, 1)
      assert.match(ended.json.error.message, why)
    }
  })
})

describe('inspect', () => {
  test('counts records and bytes', async t => {
    const path = await imported(t, 'shop-17')
    const ended = await cli(['inspect', path, '--json'])
    assertEnded(ended, 0)
    const { accounts: [account], diskBytes, path: where } = ended.json.result
    assert.equal(where, path)
    assert.ok(diskBytes > account.bytes)
    assert.deepEqual(Object.fromEntries(account.families.map(({ family, records }) => [family, records])), RECORDS)
    assert.equal(account.records, 18)
    assert.equal(account.bytes, account.families.reduce((sum, { bytes }) => sum + bytes, account.creds.bytes))
    // A lid mapping is its text and a tag.
    assert.equal(account.families.find(({ family }) => family === 'lid-mapping').bytes, '100000000000002'.length + '15550100002'.length + 2)
    const text = await cli(['inspect', path])
    assert.match(text.stdout, /: 1 account, 18 records, .* on disk$/m)
    assert.match(text.stdout, /^shop-17 +identity-key +1 +34$/m)
  })

  test('more records than are read at once, large ones, and a family that Baileys does not know', async t => {
    const path = newPath(t)
    const cask = await openCask({ path })
    const ids = Object.fromEntries(Array.from({ length: 700 }, (_, i) => [`${i}`, Buffer.alloc(i)]))
    await cask.account('a').keys.set({ 'identity-key': ids, 'my-family': { 'x:y': Buffer.alloc(3_000_000) } })
    await cask.account('b').keys.set({ session: { s: session(1) } })
    await cask.close()
    const { json } = await cli(['inspect', path, '--json'])
    const bytes = Array.from({ length: 700 }, (_, i) => i + 1).reduce((a, b) => a + b)
    assert.deepEqual(json.result.accounts[0].families, [{ family: 'identity-key', records: 700, bytes }, { family: 'my-family', records: 1, bytes: 3_000_001 }])
    assert.match((await cli(['inspect', path])).stdout, /^no creds: account b has records/m)
    const { json: { result } } = await cli(['inspect', path, '--account', 'a', '--family', 'my-family', '--json'])
    assert.deepEqual(result, { account: 'a', family: 'my-family', records: [{ id: 'x:y', bytes: 3_000_001 }] })
    const one = await cli(['inspect', path, '--account', 'b', '--json'])
    assert.deepEqual(one.json.result.accounts.map(({ name }) => name), ['b'])
  })

  test('a family, and records that are not there', async t => {
    const path = await imported(t)
    const ended = await cli(['inspect', path, '--account', 'default', '--family', 'session'])
    assertEnded(ended, 0)
    assert.match(ended.stdout, /^ID +BYTES\n100000000000002_1\.3 +\d+\n15550100002\.0 +\d+\n$/)
    const missing = await cli(['inspect', path, '--account', 'default', '--family', 'session', '--id', 'x', '--json'])
    assertEnded(missing, 1)
    assert.match(missing.json.error.message, /has no record x of session/)
  })
})

describe('a folder that is no cask', () => {
  test('is refused by all, and nothing is made of it', async t => {
    const empty = tempFolder(t)
    const other = tempFolder(t)
    put(other, 'x.txt', 'x')
    const missing = newPath(t)
    for (const path of [empty, other, missing, join(other, 'x.txt'), join(other, 'x.txt', 'y')]) {
      for (const [command, ...rest] of [['inspect'], ['verify'], ['compact'], ['backup', newPath(t)], ['repair', newPath(t)], ['export', newPath(t)]]) {
        const ended = await cli([command, path, ...rest, '--json'])
        assertEnded(ended, 1)
        assert.equal(ended.json.error.code, 'ERR_CASK_INVALID_ARGUMENT', command)
        assert.match(ended.json.error.message, /no cask|not exist|is a file|inside a file|is no folder/)
      }
    }
    assert.deepEqual([readdirSync(empty), readdirSync(other), existsSync(missing)], [[], ['x.txt'], false])
  })
})

describe('a cask that is open elsewhere', () => {
  test('is refused by all with the pid, and exit code 4', async t => {
    const path = await imported(t)
    const cask = await open(t, { path })
    for (const [command, ...rest] of [['inspect'], ['verify'], ['compact'], ['backup', newPath(t)], ['repair', newPath(t)], ['export', newPath(t)]]) {
      const ended = await cli([command, path, ...rest, '--json'])
      assertEnded(ended, 4)
      assert.deepEqual([ended.json.error.code, ended.json.error.pid, ended.json.error.retryable], ['ERR_CASK_LOCKED', process.pid, true], command)
      assert.match(ended.stderr, new RegExp(`process ${process.pid}`))
    }
    assertEnded(await cli(['import', await authFolder(t), path]), 4)
    await cask.close()
    assertEnded(await cli(['verify', path]), 0)
  })
})

describe('verify and repair', () => {
  test('an intact cask', async t => {
    const path = await filled(t)
    const before = imageOf(path)
    const ended = await cli(['verify', path])
    assertEnded(ended, 0)
    assert.match(ended.stdout, /^Intact: .*: 1 segment with \d+ frames\.\nACCOUNT +CREDS +RECORDS +IN DOUBT\na +yes +3 +0\nb +no +1 +0\n$/)
    assert.deepEqual(imageOf(path), before)
    const { json } = await cli(['verify', path, '--json'])
    assert.deepEqual(json.result, await verifyCask(path))
    const target = newPath(t)
    const repaired = await cli(['repair', path, target, '--json'])
    assertEnded(repaired, 0)
    assert.equal(repaired.json.result.complete, true)
    assert.deepEqual(await contents(await open(t, { path: target })), await contents(await open(t, { path })))
  })

  test('damage: exit code 3, and what is left out', async t => {
    const path = await filled(t, async cask => {
      await cask.account('a').keys.set({ session: { doubt: session(5) } })
      await cask.account('b').keys.set({ session: { after: session(6) } })
    })
    damageRecord(path, 'doubt')
    const ended = await cli(['verify', path])
    assertEnded(ended, 3)
    assert.match(ended.stdout, /^Damaged: .*: 1 damage in /)
    assert.match(ended.stdout, /^damaged: .*\.seg at \d+: .* \(records are lost\)\n {2}a: session doubt$/m)
    const opened = await cli(['inspect', path, '--json'])
    assertEnded(opened, 3)
    assert.equal(opened.json.error.code, 'ERR_CASK_CORRUPT')
    const strict = await cli(['repair', path, newPath(t), '--json'])
    assertEnded(strict, 3)
    assert.deepEqual([strict.json.result.complete, strict.json.result.accounts.a.lost], [false, [{ type: 'session', id: 'doubt' }]])
    const target = newPath(t)
    const some = await cli(['repair', path, target, '--doubtful', 'omit-ratchets'])
    assertEnded(some, 3)
    assert.match(some.stdout, /^Repaired in part: /)
    assert.match(some.stdout, /^lost: a: session doubt$/m)
    assert.match(some.stdout, /^left out: a: session first$/m)
    const cask = await open(t, { path: target })
    assert.ok(await cask.account('a').loadCreds())
    const refused = await cli(['repair', path, target, '--json'])
    assertEnded(refused, 1)
    assert.equal(refused.json.error.argument, 'target')
  })
})

describe('backup and compact', () => {
  test('a backup is whole, by itself or by links', async t => {
    const path = await filled(t)
    const [copy, linked] = [newPath(t), join(tempFolder(t), 'linked')]
    const ended = await cli(['backup', path, copy])
    assertEnded(ended, 0)
    assert.match(ended.stdout, /^Backed up: .* \(segments: \d copied, \d cloned, 0 linked\)\.$/m)
    const other = await cli(['backup', path, linked, '--hard-links', '--json'])
    assertEnded(other, 0)
    assert.ok(other.json.result.segments.linked > 0 && other.json.result.bytes > 0)
    const expected = await contents(await open(t, { path }))
    for (const target of [copy, linked]) {
      assert.equal((await verifyCask(target)).ok, true)
      assert.deepEqual(await contents(await open(t, { path: target })), expected)
    }
    await (await open(t, { path })).close()
    const refused = await cli(['backup', copy, linked, '--json'])
    assert.equal(refused.code, 4)
  })

  test('a target where something is', async t => {
    const path = await filled(t)
    const ended = await cli(['backup', path, path, '--json'])
    assertEnded(ended, 1)
    assert.equal(ended.json.error.argument, 'target')
  })

  test('compaction takes what is dead', async t => {
    const path = await filled(t, async cask => {
      for (let round = 0; round < 30; round++) await cask.account().keys.set({ session: { s: { round, filler: 'x'.repeat(120_000) } } })
    })
    const ended = await cli(['compact', path, '--json'])
    assertEnded(ended, 0)
    const { diskBytesBefore, diskBytesAfter } = ended.json.result
    assert.ok(diskBytesBefore > 3_000_000 && diskBytesAfter < diskBytesBefore / 4, `${diskBytesBefore} to ${diskBytesAfter}`)
    assert.match((await cli(['compact', path])).stdout, /^Compacted: nothing was worth it; .* takes /)
  })
})

describe('warnings', () => {
  test('go to stderr and into the document', { skip: process.platform === 'win32' }, async t => {
    const path = await filled(t)
    chmodSync(path, 0o755)
    const ended = await cli(['inspect', path, '--json'])
    assertEnded(ended, 0)
    assert.equal(ended.json.warnings.length, 1)
    assert.match(ended.stderr, /^warning: .*other users/)
  })
})

describe('a full disk', () => {
  const run = (t, script, env) => {
    Object.assign(process.env, env)
    return runOnSmallDisk(t, { kind: 'tmpfs', megabytes: 4 }, ['sh', '-c', `head -c 3M /dev/zero > "$DISK/ballast"; ${script}`])
  }

  test('an import fails, the account cannot be used, and the same again completes it', { timeout: 90_000 }, async t => {
    const folder = await authFolder(t, { session: Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`s${i}`, { version: 'v1', filler: String(i).repeat(1500) }])) })
    const ended = await run(t, `
      node "$BIN" import "$AUTH" "$DISK/cask" --json; echo "code $?"
      rm "$DISK/ballast"; node "$BIN" import "$AUTH" "$DISK/cask" --json | cut -c 1-80; node "$BIN" verify "$DISK/cask" | head -n 1`, { BIN, AUTH: folder })
    if (!ended) return
    const [document, code, again, verified] = ended.stdout.split('\n')
    const { error, ok } = JSON.parse(document)
    assert.deepEqual([ok, error.code, code], [false, 'ERR_CASK_IO', 'code 1'], ended.stderr)
    assert.match(error.message, /ENOSPC|space/i)
    assert.match(again, /"ok":true/)
    assert.match(verified, /^Intact/)
  })

  test('a backup and an export leave nothing', { timeout: 90_000 }, async t => {
    const path = await filled(t, cask => cask.account('a').keys.set({ session: Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`s${i}`, { filler: String(i).repeat(1500) }])) }))
    const ended = await run(t, `
      node "$BIN" backup "$CASK" "$DISK/copy" > /dev/null; echo "code $?"
      node "$BIN" export "$CASK" "$DISK/out" --account a > /dev/null; echo "code $?"
      node "$BIN" repair "$CASK" "$DISK/rep" > /dev/null; echo "code $?"; ls "$DISK"`, { BIN, CASK: path })
    if (!ended) return
    assert.deepEqual(ended.stdout.trim().split('\n'), ['code 1', 'code 1', 'code 1', 'ballast'], ended.stderr)
    assert.match(ended.stderr, /ENOSPC|space/i)
  })

  test('the output itself', { skip: !existsSync('/dev/full') }, async t => {
    const path = await filled(t)
    const ended = await runProgram('sh', ['-c', '"$NODE" "$BIN" inspect "$CASK" > /dev/full'], { env: environment({ NODE: process.execPath, BIN, CASK: path }) })
    assert.equal(ended.code, 1)
    assert.match(ended.stderr, /^baileys-cask: the output cannot be written: ENOSPC$/m)
  })

  test('a reader that has seen enough is no failure', async t => {
    const path = newPath(t)
    const cask = await openCask({ path })
    await cask.account().keys.set({ 'lid-mapping': Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`${i}`, `${i}`])) })
    await cask.close()
    const script = 'set -o pipefail; "$NODE" "$BIN" inspect "$CASK" --account default --family lid-mapping | head -n 1'
    const ended = await runProgram('bash', ['-c', script], { env: environment({ NODE: process.execPath, BIN, CASK: path }) })
    assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, 'ID     BYTES\n', ''])
  })
})
