// Sealed casks and the command line: where keys come from, and what gives, changes and takes them.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openCask, verifyCask } from 'baileys-cask'
import { authFolder, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { contents, open } from './helpers/casks.mjs'
import { BIN, cli, environment, standstill, startCli } from './helpers/cli.mjs'
import { imageOf, newPath, tempFolder } from './helpers/folders.mjs'
import { within } from './helpers/gate.mjs'
import { runProgram } from './helpers/script.mjs'
import { inTerminal, NO_TERMINAL, TERMINALS } from './helpers/terminal.mjs'
import { fill } from './helpers/upkeep.mjs'

const PASSPHRASE = 'correct horse battery st\u00e4ple'

async function sealed(t, encryptionKey) {
  const path = newPath(t)
  const cask = await openCask({ path, ...(encryptionKey ? { encryptionKey } : {}) })
  await fill(cask)
  await cask.close()
  return path
}

/** A file that nobody else can read. */
function file(t, bytes, mode = 0o600) {
  const path = join(tempFolder(t), 'key')
  writeFileSync(path, bytes)
  chmodSync(path, mode)
  return path
}

/** Demands an exit code, and that no key was printed. */
function assertEnded({ code, stdout, stderr }, expected, secrets = [PASSPHRASE]) {
  assert.equal(code, expected, stdout + stderr)
  for (const secret of secrets) assert.equal((stdout + stderr).includes(secret), false, 'a key was printed')
}

describe('where a key comes from', () => {
  test('a file: text, less its line end; 32 bytes; hexadecimal digits', async t => {
    const key = randomBytes(32)
    const hex = key.toString('hex')
    const byText = await sealed(t, PASSPHRASE)
    const byKey = await sealed(t, key)
    const short = '0123456789abcdef0123456789abcdef'
    const byShort = await sealed(t, short)
    for (const [path, bytes] of [
      [byText, PASSPHRASE], [byText, `${PASSPHRASE}\n`], [byText, `${PASSPHRASE}\r\n`],
      [byKey, key], [byKey, `hex:${hex}`], [byKey, `hex:${hex.toUpperCase()}\n`],
      // 32 bytes of text are a passphrase, as they are for openCask.
      [byShort, short], [byShort, `${short}\n`],
    ]) assertEnded(await cli(['verify', path, '--key-file', file(t, bytes)]), 0, [PASSPHRASE, hex])
    for (const bytes of [`${PASSPHRASE}\n\n`, ` ${PASSPHRASE}`, hex, Buffer.alloc(32, 1)]) {
      const ended = await cli(['verify', byText, '--key-file', file(t, bytes)])
      assertEnded(ended, /\n\n/.test(bytes) ? 2 : 5, [PASSPHRASE, hex])
    }
  })

  test('the environment, and a file before it', async t => {
    const path = await sealed(t, PASSPHRASE)
    assertEnded(await cli(['inspect', path], { env: { BAILEYS_CASK_KEY: PASSPHRASE } }), 0)
    assertEnded(await cli(['inspect', path], { env: { BAILEYS_CASK_KEY: 'another' } }), 5)
    assertEnded(await cli(['inspect', path, '--key-file', file(t, PASSPHRASE)], { env: { BAILEYS_CASK_KEY: 'another' } }), 0)
    const wrong = await cli(['inspect', path, '--key-file', file(t, 'another'), '--json'], { env: { BAILEYS_CASK_KEY: PASSPHRASE } })
    assertEnded(wrong, 5)
    assert.deepEqual([wrong.json.ok, wrong.json.error.code, wrong.json.error.path], [false, 'ERR_CASK_KEY', path])
    const key = randomBytes(32)
    assertEnded(await cli(['inspect', await sealed(t, key)], { env: { BAILEYS_CASK_KEY: `hex:${key.toString('hex')}` } }), 0)
  })

  test('a pipe', { skip: process.platform === 'win32' }, async t => {
    const path = await sealed(t, PASSPHRASE)
    const ended = await runProgram('bash', ['-c', '"$NODE" "$BIN" verify "$CASK" --key-file <(printf "%s\\n" "$SECRET")'], { env: environment({ NODE: process.execPath, BIN, CASK: path, SECRET: PASSPHRASE }) })
    assertEnded(ended, 0)
  })

  test('nowhere: exit code 5, and nobody is waited for', async t => {
    const path = await sealed(t, PASSPHRASE)
    for (const args of [['inspect', path], ['verify', path], ['compact', path], ['backup', path, newPath(t)], ['repair', path, newPath(t)], ['export', path, newPath(t), '--account', 'a'], ['key', 'change', path], ['key', 'remove', path, newPath(t)]]) {
      const ended = await cli([...args, '--json'])
      assertEnded(ended, 5)
      assert.equal(ended.json.error.code, 'ERR_CASK_KEY')
      assert.match(ended.stderr, /^The key comes from --key-file FILE, from BAILEYS_CASK_KEY, or from a prompt at a terminal\.$/m)
    }
  })

  test('a cask that is not sealed takes none', async t => {
    const path = await sealed(t)
    for (const command of ['inspect', 'verify', 'compact']) assertEnded(await cli([command, path], { env: { BAILEYS_CASK_KEY: PASSPHRASE } }), 5)
    assertEnded(await cli(['verify', path], { env: { BAILEYS_CASK_KEY: '' } }), 0)
  })

  test('files that are no keys', async t => {
    const path = await sealed(t, PASSPHRASE)
    for (const [key, message] of [
      [file(t, ''), /is empty/], [file(t, '\n'), /is empty/], [file(t, `${PASSPHRASE}\nmore\n`), /more than one line/], [file(t, randomBytes(31).fill(0xff)), /neither text nor a key of 32 bytes/],
      [file(t, 'x'.repeat(5000)), /longer than 4096 bytes/], [join(tempFolder(t), 'none'), /cannot be read: ENOENT/], [tempFolder(t), /cannot be read: EISDIR/], ['/dev/zero', /longer than/],
    ]) {
      const ended = await cli(['verify', path, '--key-file', key])
      assertEnded(ended, 2)
      assert.match(ended.stderr, message)
    }
  })

  test('a file that others can read is warned about', { skip: process.platform === 'win32' }, async t => {
    const path = await sealed(t, PASSPHRASE)
    const ended = await cli(['verify', path, '--key-file', file(t, PASSPHRASE, 0o644), '--json'])
    assertEnded(ended, 0)
    assert.match(ended.json.warnings.join(), /^key file .* can be read by other users; chmod 600 it$/)
  })
})

test('every command works on a sealed cask, and what it makes is sealed', async t => {
  const env = { BAILEYS_CASK_KEY: PASSPHRASE }
  const path = newPath(t)
  const folder = await authFolder(t, ONE_OF_EACH)
  assertEnded(await cli(['import', folder, path], { env }), 0)
  assert.ok(existsSync(join(path, 'key')))
  await assert.rejects(openCask({ path }), { code: 'ERR_CASK_KEY' })
  const [copy, repaired] = [newPath(t), newPath(t)]
  for (const args of [['verify', path], ['inspect', path], ['compact', path], ['backup', path, copy], ['repair', path, repaired], ['export', path, newPath(t)]]) assertEnded(await cli(args, { env }), 0)
  for (const made of [copy, repaired]) assert.equal((await verifyCask(made, { encryptionKey: PASSPHRASE })).ok, true)
})

describe('key', () => {
  test('set, change, remove', async t => {
    const plain = await sealed(t)
    const before = imageOf(plain)
    const key = randomBytes(32)
    const [first, second] = [file(t, PASSPHRASE), file(t, key)]
    const [made, back] = [newPath(t), newPath(t)]
    const set = await cli(['key', 'set', plain, made, '--key-file', first, '--json'])
    assertEnded(set, 0)
    assert.deepEqual(set.json.result, { path: made, isSealed: true, accounts: { a: { records: 3, hasCreds: true }, b: { records: 1, hasCreds: false } } })
    const { lock, owner, ...after } = imageOf(plain)
    const { lock: _, owner: __, ...then } = before
    assert.deepEqual(after, then)
    const changed = await cli(['key', 'change', made, '--key-file', first, '--new-key-file', second, '--json'])
    assertEnded(changed, 0)
    assert.deepEqual(changed.json.result, { path: made, isSealed: true })
    assertEnded(await cli(['verify', made, '--key-file', first]), 5)
    assertEnded(await cli(['key', 'change', made, '--key-file', first, '--new-key-file', second]), 5)
    assertEnded(await cli(['verify', made, '--key-file', second]), 0)
    assertEnded(await cli(['key', 'change', made], { env: { BAILEYS_CASK_KEY: `hex:${key.toString('hex')}`, BAILEYS_CASK_NEW_KEY: 'third' } }), 0)
    const removed = await cli(['key', 'remove', made, back], { env: { BAILEYS_CASK_KEY: 'third' } })
    assertEnded(removed, 0)
    assert.match(removed.stdout, /^Unsealed: 2 accounts with 4 records of /)
    assert.deepEqual(await contents(await open(t, { path: back })), await contents(await open(t, { path: plain })))
  })

  test('on a cask that is sealed already, or not; on none; on a target where something is', async t => {
    const [plain, closed] = [await sealed(t), await sealed(t, PASSPHRASE)]
    const key = file(t, PASSPHRASE)
    for (const [args, code, message] of [
      [['key', 'set', closed, newPath(t), '--key-file', key], 5, /is sealed already; key change gives it another key/],
      [['key', 'change', plain, '--key-file', key, '--new-key-file', key], 5, /is not sealed; key set seals a copy of it/],
      [['key', 'remove', plain, newPath(t), '--key-file', key], 5, /is not sealed; there is no key to remove/],
      [['key', 'set', plain, closed, '--key-file', key], 1, /is not empty/],
      [['key', 'set', tempFolder(t), newPath(t), '--key-file', key], 1, /holds no cask/],
      [['key', 'change', closed, '--key-file', key], 5, /there is no new key/],
      [['key', 'set', plain, newPath(t)], 5, /there is no new key/],
      [['key'], 2, /key needs one of: set, change, remove/],
      [['key', 'chnage', closed], 2, /unknown command key chnage; did you mean change\?/],
    ]) {
      const ended = await cli(args)
      assertEnded(ended, code)
      assert.match(ended.stderr, message)
    }
  })

  test('an interruption leaves nothing of a cask that was to be unsealed', { skip: process.platform === 'win32' }, async t => {
    const path = newPath(t)
    const cask = await openCask({ path, encryptionKey: PASSPHRASE })
    for (let i = 0; i < 40; i++) await cask.account('a').keys.set({ 'identity-key': { [i]: randomBytes(1_000_000) } })
    await cask.close()
    const target = newPath(t, 'new')
    const gate = standstill(t, { binding: 'rewrite', raise: 'SIGINT' })
    const { code, stderr } = await within(30_000, 'the end', startCli(t, ['key', 'remove', path, target, '--key-file', file(t, PASSPHRASE)], { env: gate.env }).ended)
    assert.deepEqual([code, gate.wasReached()], [130, true], stderr)
    assert.match(stderr, /the signal of the rewrite was aborted/)
    assert.deepEqual(readdirSync(dirname(target)), [])
    assert.equal((await verifyCask(path, { encryptionKey: PASSPHRASE })).ok, true)
  })
})

if (NO_TERMINAL) test('prompts', { skip: NO_TERMINAL }, () => {})

for (const kind of TERMINALS) describe(`a prompt in ${kind}`, { timeout: 120_000 }, () => {
  const SECRET = 'typed-secret'
  /** Answers questions one after the other; gives what is on the screen in the end. */
  const answered = async (t, args, answers, code) => {
    const terminal = await inTerminal(t, kind, args, { columns: 120 })
    for (const [question, ...keys] of answers) {
      await terminal.seen(question)
      for (const key of keys) await (['Enter', 'C-c', 'C-d', 'BSpace'].includes(key) ? terminal.press(key) : terminal.type(key))
    }
    const ended = await terminal.ended()
    const screen = await terminal.screen()
    assert.equal(ended, code, screen)
    assert.doesNotMatch(screen, /typed|secret/)
    return screen
  }

  test('reads a passphrase that is not seen, corrections included', async t => {
    const path = await sealed(t, SECRET)
    assert.match(await answered(t, ['verify', path], [[/^Passphrase of .*cask:$/m, 'typed-secreX', 'BSpace', 't', 'Enter']], 0), /^Intact: /m)
  })

  test('asks again, three times in all', async t => {
    const path = await sealed(t, SECRET)
    assert.match(await answered(t, ['inspect', path], [[/^Passphrase of .*:$/m, 'mistyped', 'Enter'], [/^That is not it\. Passphrase of .*:$/m, SECRET, 'Enter']], 0), /2 accounts/)
    const screen = await answered(t, ['inspect', path], [
      [/^Passphrase of .*:$/m, 'mistyped', 'Enter'], [/(That is not it\.[^]*){1}:$/m, 'mistyped', 'Enter'], [/(That is not it\.[^]*){2}:$/m, 'mistyped', 'Enter'],
    ], 5)
    assert.match(screen, /baileys-cask: .*sealed with/)
  })

  test('is ended by Ctrl-C with 130, and by Ctrl-D or nothing with 5', async t => {
    const path = await sealed(t, SECRET)
    assert.match(await answered(t, ['verify', path], [[/^Passphrase of .*:$/m, 'wro', 'C-c']], 130), /interrupted by SIGINT/)
    assert.match(await answered(t, ['import', await authFolder(t), path], [[/^Passphrase of .*:$/m, 'C-c']], 130), /interrupted by SIGINT/)
    assert.match(await answered(t, ['verify', path], [[/^Passphrase of .*:$/m, 'C-d']], 5), /no passphrase was given/)
    assert.match(await answered(t, ['verify', path], [[/^Passphrase of .*:$/m, 'Enter']], 5), /no passphrase was given/)
  })

  test('is ended by a signal at once, also where the command would end by itself', { skip: process.platform !== 'linux' && 'signals by process number' }, async t => {
    const path = await sealed(t, SECRET)
    const gate = standstill(t, { binding: 'repair' })
    const terminal = await inTerminal(t, kind, ['repair', path, newPath(t)], { columns: 120, env: gate.env })
    await terminal.seen(/^Passphrase of .*:$/m)
    process.kill(gate.pid(), 'SIGTERM')
    assert.equal(await terminal.ended(), 143)
    assert.match(await terminal.screen(), /interrupted by SIGTERM/)
  })

  test('a new passphrase is asked for twice', async t => {
    const path = await sealed(t)
    const made = newPath(t, 'made')
    await answered(t, ['key', 'set', path, made], [[/^New passphrase of .*made:$/m, SECRET, 'Enter'], [/^The same again:$/m, 'another-secret', 'Enter']], 2)
    assert.equal(existsSync(made), false)
    await answered(t, ['key', 'set', path, made], [[/^New passphrase of .*made:$/m, SECRET, 'Enter'], [/^The same again:$/m, SECRET, 'Enter']], 0)
    await answered(t, ['key', 'change', made], [[/^Passphrase of .*made:$/m, SECRET, 'Enter'], [/^New passphrase of .*made:$/m, 'next-secret', 'Enter'], [/^The same again:$/m, 'next-secret', 'Enter']], 0)
    assert.equal((await verifyCask(made, { encryptionKey: 'next-secret' })).ok, true)
  })
})
