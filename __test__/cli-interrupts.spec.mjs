// Ctrl-C and its like at any moment: exit code 130, and nothing half-done that is taken for whole.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { importMultiFile, openCask, useCaskAuthState, verifyCask } from 'baileys-cask'
import { authFolder, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { contents, open } from './helpers/casks.mjs'
import { cli, standstill, startCli } from './helpers/cli.mjs'
import { imageOf, logOf, newPath } from './helpers/folders.mjs'
import { until, within } from './helpers/gate.mjs'
import { fill } from './helpers/upkeep.mjs'

const CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }
const MANY = 700
const ended = command => within(30_000, 'the end of the command', command.ended)

/** What a whole import leaves. */
async function whole(t, folder) {
  const cask = await open(t)
  await importMultiFile(folder, cask.account())
  return contents(cask, ['baileys-cask:import'])
}

/** A cask of some 50 MB, in several segments, that nobody has open. */
async function large(t) {
  const path = newPath(t)
  const cask = await openCask({ path })
  await fill(cask)
  const filler = Buffer.alloc(1_000_000, 7)
  for (let i = 0; i < 50; i++) await cask.account('a').keys.set({ 'identity-key': { [i]: filler } })
  await cask.close()
  return path
}

describe('import', { skip: process.platform === 'win32' && 'no signals there' }, () => {
  for (const signal of Object.keys(CODES)) {
    test(`${signal} in the middle: the account cannot be used, and the same again completes it`, async t => {
      const folder = await authFolder(t, ONE_OF_EACH, undefined, MANY)
      const before = imageOf(folder)
      const path = newPath(t)
      const gate = standstill(t, { file: 'pre-key-1600.' })
      const command = startCli(t, ['import', folder, path, '--json'], { env: gate.env })
      await gate.reached()
      command.send(signal)
      await gate.heard()
      gate.open()
      const { code, stdout, stderr } = await ended(command)
      assert.equal(code, CODES[signal], stderr)
      const { ok, exitCode, error } = JSON.parse(stdout)
      assert.deepEqual([ok, exitCode, error.code], [false, CODES[signal], 'ERR_CASK_ABORTED'])
      assert.match(stderr, /run it again to complete it/)
      const cask = await openCask({ path })
      assert.equal(await cask.account().loadCreds(), undefined)
      await assert.rejects(useCaskAuthState(cask), { code: 'ERR_CASK_CREDS_MISSING' })
      await cask.close()
      assert.equal((await cli(['import', folder, path])).code, 0)
      assert.deepEqual(await contents(await open(t, { path }), ['baileys-cask:import']), await whole(t, folder))
      assert.deepEqual(imageOf(folder), before)
    })
  }

  test('twice: it ends at once, also while it stands still, and is as half as before', async t => {
    const folder = await authFolder(t, ONE_OF_EACH, undefined, MANY)
    const path = newPath(t)
    const gate = standstill(t, { file: 'pre-key-1600.' })
    const command = startCli(t, ['import', folder, path], { env: gate.env })
    await gate.reached()
    command.send('SIGINT')
    // Signals of one kind that come together are one.
    command.send('SIGTERM')
    const { code, stderr } = await ended(command)
    assert.equal(code === 130 || code === 143, true, stderr)
    const cask = await openCask({ path })
    assert.equal(await cask.account().loadCreds(), undefined)
    await cask.close()
    assert.equal((await cli(['import', folder, path])).code, 0)
    assert.deepEqual(await contents(await open(t, { path }), ['baileys-cask:import']), await whole(t, folder))
  })

  test('at any file that is opened: whole or of no use, and exit code 130', { timeout: 120_000 }, async t => {
    const folder = await authFolder(t, ONE_OF_EACH, undefined, 100)
    const expected = await whole(t, folder)
    const outcomes = new Set()
    for (const at of [1, 2, 17, 50, 90, 118, 119]) {
      const path = newPath(t)
      const gate = standstill(t, { file: '', raise: 'SIGINT', at })
      const { code, stderr } = await ended(startCli(t, ['import', folder, path], { env: gate.env }))
      assert.deepEqual([code, gate.wasReached()], [130, true], `at ${at}: ${stderr}`)
      const cask = await openCask({ path })
      if (await cask.account().loadCreds()) {
        assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected)
        outcomes.add('whole')
      } else {
        outcomes.add('none')
        assert.equal((await importMultiFile(folder, cask.account())).complete, true)
        assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected)
      }
      await cask.close()
    }
    assert.ok(outcomes.has('none'))
  })

  test('when all is done: it is whole and says so, and the exit code is 130 all the same', async t => {
    const folder = await authFolder(t, ONE_OF_EACH)
    const expected = await whole(t, folder)
    // It may end before it hears of the signal; then there was none for it.
    for (let isHeard = false, tries = 0; !isHeard; tries++) {
      assert.ok(tries < 10, 'it never heard of the signal before it ended')
      const path = newPath(t)
      const gate = standstill(t, { binding: 'closeCask', raise: 'SIGINT' })
      const { code, stdout, stderr } = await ended(startCli(t, ['import', folder, path, '--json'], { env: gate.env }))
      isHeard = code !== 0
      assert.deepEqual([code, gate.wasReached()], [isHeard ? 130 : 0, true], stderr)
      const { ok, exitCode, result } = JSON.parse(stdout)
      assert.deepEqual([ok, exitCode, result.complete], [!isHeard, code, true])
      assert.deepEqual(await contents(await open(t, { path }), ['baileys-cask:import']), expected)
    }
  })
})

describe('export', { skip: process.platform === 'win32' && 'no signals there' }, () => {
  test('nothing is left of a folder', async t => {
    const path = newPath(t)
    const cask = await openCask({ path })
    await importMultiFile(await authFolder(t, ONE_OF_EACH, undefined, MANY), cask.account())
    await cask.close()
    const out = newPath(t, 'out')
    const writing = () => readdirSync(dirname(out)).find(name => name.startsWith('out.partial-'))
    const command = startCli(t, ['export', path, out])
    // Some of it is there.
    await until('the export writes', () => writing() && readdirSync(join(dirname(out), writing())).length > 3)
    command.send('SIGINT')
    const { code, stderr } = await ended(command)
    assert.equal(code, 130, stderr)
    assert.match(stderr, /the signal of the export was aborted/)
    assert.deepEqual(readdirSync(dirname(out)), [])
    assert.equal((await verifyCask(path)).ok, true)
  })
})

describe('backup', { skip: process.platform === 'win32' && 'no signals there' }, () => {
  test('nothing is left of a copy that has begun', async t => {
    const path = await large(t)
    const target = newPath(t, 'copy')
    const gate = standstill(t, { binding: 'backup', raise: 'SIGINT' })
    const { code, stdout, stderr } = await ended(startCli(t, ['backup', path, target, '--json'], { env: gate.env }))
    assert.deepEqual([code, gate.wasReached()], [130, true], stderr)
    assert.equal(JSON.parse(stdout).error.code, 'ERR_CASK_ABORTED')
    assert.deepEqual(readdirSync(dirname(target)), [])
    assert.equal((await verifyCask(path)).ok, true)
    assert.equal((await cli(['backup', path, target])).code, 0)
    assert.equal((await verifyCask(target)).ok, true)
  })

  test('at any moment: whole or not there', { timeout: 120_000 }, async t => {
    const path = await large(t)
    for (const name of ['lock', 'copy.partial', 'copy']) {
      const target = newPath(t, 'copy')
      const command = startCli(t, ['backup', path, target])
      const seen = name === 'lock' ? join(path, 'owner') : join(dirname(target), name)
      await until(`${name} is there`, () => existsSync(seen))
      command.send('SIGINT')
      const { code, signal, stderr } = await ended(command)
      // When all of it is there, it may have ended before the signal came, or be ending, and hear of signals no more.
      assert.ok(code === 130 || (name === 'copy' && (code === 0 || signal === 'SIGINT')), `${name}: ${code} ${signal} ${stderr}`)
      const left = readdirSync(dirname(target))
      if (left.length > 0) {
        assert.deepEqual(left, ['copy'])
        assert.equal((await verifyCask(target)).ok, true)
      }
    }
  })
})

for (const { command, binding, ...variables } of [{ command: ['repair'], binding: 'repair' }, { command: ['key', 'set'], binding: 'rewrite', BAILEYS_CASK_KEY: 'a passphrase' }]) {
  describe(command.join(' '), { skip: process.platform === 'win32' && 'no signals there' }, () => {
    const encryptionKey = variables.BAILEYS_CASK_KEY
    const start = (t, path, target, env) => startCli(t, [...command, path, target, '--json'], { env: { ...env, ...variables } })

    test('nothing is left of a new cask that has begun', async t => {
      const path = await large(t)
      const before = logOf(path)
      const target = newPath(t, 'new')
      const gate = standstill(t, { binding, raise: 'SIGINT' })
      const { code, stdout, stderr } = await ended(start(t, path, target, gate.env))
      assert.deepEqual([code, gate.wasReached()], [130, true], stderr)
      const { error } = JSON.parse(stdout)
      assert.deepEqual([error.code, error.message], ['ERR_CASK_ABORTED', `the signal of the ${binding} was aborted`])
      assert.deepEqual(readdirSync(dirname(target)), [])
      assert.deepEqual(logOf(path), before)
      assert.equal((await ended(start(t, path, target))).code, 0)
      assert.equal((await verifyCask(target, { encryptionKey })).ok, true)
    })

    test('while it writes: whole or not there', { timeout: 120_000 }, async t => {
      const path = await large(t)
      // It may be quicker than the signal.
      for (let isStopped = false, tries = 0; !isStopped; tries++) {
        assert.ok(tries < 10, 'it was never interrupted while it wrote')
        const target = newPath(t, 'new')
        const running = start(t, path, target)
        await until('it writes', () => existsSync(`${target}.partial`) || existsSync(target))
        running.send('SIGTERM')
        const { code, stdout, stderr } = await ended(running)
        const left = readdirSync(dirname(target))
        isStopped = left.length === 0
        if (isStopped) assert.deepEqual([code, JSON.parse(stdout).error.code], [143, 'ERR_CASK_ABORTED'], stderr)
        else {
          assert.deepEqual(left, ['new'], stderr)
          assert.equal((await verifyCask(target, { encryptionKey })).ok, true)
        }
      }
    })
  })
}

describe('a second signal ends at once', { skip: process.platform === 'win32' && 'no signals there' }, () => {
  test('repair: what is left is refused by everything, and named', async t => {
    const path = await large(t)
    const before = imageOf(path)
    // It may be quicker than the signals; then there is nothing to see.
    for (let seen = false, tries = 0; !seen; tries++) {
      assert.ok(tries < 20, 'no repair was ended while it wrote')
      const target = newPath(t, 'new')
      const partial = `${target}.partial`
      const command = startCli(t, ['repair', path, target, '--json'])
      await until('it writes', () => existsSync(partial) || existsSync(target))
      command.send('SIGINT')
      // Signals of one kind that come together are one.
      command.send('SIGTERM')
      const { code, stdout, stderr } = await ended(command)
      if (!existsSync(partial)) continue
      seen = true
      assert.ok(code === 130 || code === 143, stderr)
      assert.equal(JSON.parse(stdout).error.code, 'ERR_CASK_ABORTED')
      assert.deepEqual(readdirSync(dirname(target)), ['new.partial'])
      assert.match(stderr, new RegExp(`${basename(target)}\\.partial is not finished`))
      await assert.rejects(openCask({ path: partial }), { code: 'ERR_CASK_INVALID_ARGUMENT' })
    }
    const { lock, owner, ...now } = imageOf(path)
    const { lock: _, owner: __, ...then } = before
    assert.deepEqual(now, then)
  })
})

describe('what leaves nothing behind ends at once', { skip: process.platform === 'win32' && 'no signals there' }, () => {
  test('verify, inspect, compact: the cask is as good as before', { timeout: 120_000 }, async t => {
    const path = await large(t)
    const expected = await cli(['inspect', path, '--json'])
    for (const [command, binding] of [['verify', 'verify'], ['inspect', 'getFrom'], ['compact', 'compact'], ['inspect', 'openCask']]) {
      const gate = standstill(t, { binding, raise: 'SIGINT', holds: true })
      const { code, stdout, stderr } = await ended(startCli(t, [command, path, '--json'], { env: gate.env }))
      assert.deepEqual([code, gate.wasReached(), JSON.parse(stdout).error.code], [130, true, 'ERR_CASK_ABORTED'], `${command}: ${stderr}`)
    }
    assert.equal((await verifyCask(path)).ok, true)
    assert.deepEqual((await cli(['inspect', path, '--json'])).json.result.accounts, expected.json.result.accounts)
  })
})
