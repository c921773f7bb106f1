// What the command line never prints: secrets, unless they are asked for; and what a terminal would obey.
import { describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { openCask } from 'baileys-cask'
import { authFolder, kept, linkedCreds, put } from './helpers/auth-folders.mjs'
import { cli } from './helpers/cli.mjs'
import { newPath, tempFolder } from './helpers/folders.mjs'

/** Keys that are looked for in what is printed. */
class Secrets {
  #all = []

  bytes(length = 32) {
    const bytes = randomBytes(length)
    this.#all.push(bytes)
    return bytes
  }

  text(length) {
    return this.bytes(length).toString('base64')
  }

  get forms() {
    return this.#all.flatMap(bytes => [bytes.toString('base64'), bytes.toString('base64url').slice(0, 20), bytes.toString('hex'), JSON.stringify([...bytes]).slice(1, -1)])
  }
}

/** A session as libsignal makes it: its keys are base64, in values and in names. */
const sessionOf = secrets => ({
  _sessions: {
    [secrets.text(33)]: {
      registrationId: 1234,
      currentRatchet: { ephemeralKeyPair: { pubKey: secrets.text(33), privKey: secrets.text() }, lastRemoteEphemeralKey: secrets.text(33), previousCounter: 5, rootKey: secrets.text() },
      indexInfo: { baseKey: secrets.text(33), baseKeyType: 1, closed: -1, used: 1700000000000, created: 1700000000001, remoteIdentityKey: secrets.text(33) },
      _chains: { [secrets.text(33)]: { chainKey: { counter: 7, key: secrets.text() }, chainType: 2, messageKeys: { 3: secrets.text() } } },
      pendingPreKey: { signedKeyId: 1, baseKey: secrets.text(33), preKeyId: 9 },
    },
  },
  version: 'v1',
})

/** Of each family a value that is full of secrets, and what may be seen of it. */
const VALUES = {
  'pre-key': [secrets => ({ public: secrets.bytes(), private: secrets.bytes() }), ['32']],
  session: [sessionOf, ['1234', '1700000000000', '"counter":7', '"chainType":2', '"version":"v1"']],
  'sender-key': [secrets => Buffer.from(JSON.stringify([{ senderChainKey: secrets.text() }])), ['masked']],
  'sender-key-memory': [() => ({ '15550100002:3@s.whatsapp.net': true }), ['"15550100002:3@s.whatsapp.net":true']],
  'app-state-sync-key': [secrets => ({ keyData: secrets.bytes(), fingerprint: { rawId: 99, currentIndex: 1, deviceIndexes: [0, 4] }, timestamp: 1_700_000_000_000 }), ['"rawId":99']],
  'app-state-sync-version': [secrets => ({ version: 31, hash: secrets.bytes(128), indexValueMap: { [secrets.text()]: { valueMac: secrets.bytes() } } }), ['"version":31']],
  'lid-mapping': [() => '100000000000002', ['100000000000002']],
  'device-list': [() => ['0', '17'], ['17']],
  tctoken: [secrets => ({ token: secrets.bytes(), timestamp: '1700000000' }), ['1700000000']],
  'identity-key': [secrets => secrets.bytes(33), ['33']],
  'my-family': [secrets => ({ [secrets.text()]: secrets.text(), pin: 918273645, list: [...secrets.bytes()], deep: { text: secrets.text(12) } }), ['masked']],
  'my-text': [secrets => secrets.text(), ['masked']],
}

test('of a record its form is shown, and its secrets with --reveal only', async t => {
  const path = newPath(t)
  const secrets = new Secrets()
  const values = Object.fromEntries(Object.entries(VALUES).map(([family, [make]]) => [family, { 'one:1': make(secrets) }]))
  const creds = { ...linkedCreds(), pairingCode: secrets.text(12), advSecretKey: secrets.text(), routingInfo: secrets.bytes(), newField: { later: secrets.text() } }
  for (const name of ['noiseKey', 'pairingEphemeralKeyPair', 'signedIdentityKey']) creds[name] = { private: secrets.bytes(), public: secrets.bytes() }
  creds.signedPreKey = { keyPair: { private: secrets.bytes(), public: secrets.bytes() }, signature: secrets.bytes(64), keyId: 41 }
  creds.account = { details: secrets.text(), accountSignatureKey: secrets.text(), accountSignature: secrets.text(64), deviceSignature: secrets.text(64) }
  creds.signalIdentities = [{ identifier: { name: 'x', deviceId: 0 }, identifierKey: secrets.bytes(33) }]
  const cask = await openCask({ path })
  await cask.account('a').keys.set(values)
  await cask.account('a').saveCreds(creds)
  await cask.close()
  const { forms } = secrets
  const check = ({ code, stdout, stderr }, what) => {
    assert.equal(code, 0, stderr)
    for (const form of forms) assert.equal(stdout.includes(form) || stderr.includes(form), false, `${what} shows a secret`)
    assert.doesNotMatch(stdout, /918273645/)
  }
  const account = ['inspect', path, '--account', 'a']
  for (const [family, [, shown]] of Object.entries(VALUES)) {
    const record = [...account, '--family', family, '--id', 'one:1']
    // One after the other: each has the cask for itself.
    const [text, masked, revealed] = [await cli(record), await cli([...record, '--json']), await cli([...record, '--json', '--reveal'])]
    check(text, family)
    check(masked, family)
    for (const part of shown) assert.ok(masked.stdout.includes(part), `${family}: ${part} in ${masked.stdout}`)
    const { value, isRevealed, type, id } = revealed.json.result
    assert.deepEqual([isRevealed, type, id], [true, family, 'one:1'])
    if (family !== 'app-state-sync-key') assert.deepEqual(value, JSON.parse(JSON.stringify(kept(values[family]['one:1']), (_, item) => (item?.type === 'Buffer' ? { type: 'Buffer', data: Buffer.from(item.data).toString('base64') } : item))))
  }
  const [text, masked, revealed] = [await cli([...account, '--creds']), await cli([...account, '--creds', '--json']), await cli([...account, '--creds', '--reveal'])]
  check(text, 'creds')
  check(masked, 'creds')
  assert.match(text.stdout, /"id": "15550100001:1@s\.whatsapp\.net"/)
  assert.match(text.stdout, /"keyId": 41/)
  assert.deepEqual(masked.json.result.value.noiseKey, { private: { masked: 'bytes', length: 32 }, public: { masked: 'bytes', length: 32 } })
  assert.deepEqual(JSON.parse(revealed.stdout), JSON.parse(JSON.stringify(creds, (_, item) => (item?.type === 'Buffer' ? { type: 'Buffer', data: Buffer.from(item.data).toString('base64') } : item))))
  for (const other of [['inspect', path], [...account, '--family', 'session'], ['verify', path], ['export', path, newPath(t), '--account', 'a']]) check(await cli(other), other[0])
})

test('a large object is shown in part to people, and whole to programs', async t => {
  const path = newPath(t)
  const cask = await openCask({ path })
  const memory = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`${i}@s.whatsapp.net`, true]))
  await cask.account('a').keys.set({ 'sender-key-memory': { g: memory } })
  await cask.close()
  const record = ['inspect', path, '--account', 'a', '--family', 'sender-key-memory', '--id', 'g']
  assert.deepEqual((await cli([...record, '--json'])).json.result.value, memory)
  const { stdout } = await cli(record)
  assert.equal(stdout.split('\n').length, 24)
  assert.match(stdout, /"\.\.\.": "<280 more>"/)
})

describe('what a terminal would obey is written out', () => {
  /** Colours, a title, a report of the cursor, a control character of 8 bits, text from right to left, a line end, a line separator. */
  const EVIL = 'x\u001b[31m\u001b]0;title\u0007\u001b[6n\u009b2J\u202etxt\n\r\u2028y\u007f\u{e0041}'
  const WRITTEN = 'x\\x1b[31m\\x1b]0;title\\x07\\x1b[6n\\x9b2J\\u202etxt\\n\\r\\u2028y\\x7f\\u{e0041}'

  const assertSafe = ({ stdout, stderr }) => {
    // Line ends of the program itself stand where a line ends.
    assert.doesNotMatch(stdout + stderr, /[^\P{C}\n]|[\u2028\u2029]/u)
  }

  test('names of accounts, ids, values', async t => {
    const path = join(tempFolder(t), 'cask\u001b[2J')
    const cask = await openCask({ path })
    await cask.account(EVIL).keys.set({ session: { [EVIL]: { version: EVIL } }, 'lid-mapping': { [EVIL]: EVIL }, [EVIL.slice(0, 40)]: { a: 1 } })
    await cask.close()
    for (const args of [
      ['inspect', path], ['inspect', path, '--account', EVIL, '--family', 'session'], ['inspect', path, '--account', EVIL, '--family', 'lid-mapping', '--id', EVIL],
      ['inspect', path, '--account', EVIL, '--family', 'lid-mapping', '--id', EVIL, '--reveal'], ['verify', path], ['repair', path, newPath(t)], ['inspect', path, '--account', `${EVIL}z`],
      ['export', path, newPath(t), '--account', EVIL], ['export', path, newPath(t), '--account', 'q'], ['compact', path], ['backup', path, newPath(t, 'b\u009b')],
    ]) {
      assertSafe(await cli(args))
      const asJson = await cli([...args, '--json'])
      assertSafe(asJson)
      assert.equal(asJson.stdout.split('\n').length, 2)
    }
    const { stdout } = await cli(['inspect', path])
    assert.ok(stdout.includes(WRITTEN), stdout)
    assert.ok(stdout.includes('cask\\x1b[2J'), stdout)
    const { json } = await cli(['inspect', path, '--json'])
    assert.deepEqual([json.result.path, json.result.accounts[0].name], [path, EVIL])
  })

  test('files of a folder, paths, and arguments', async t => {
    const folder = await authFolder(t, {}, undefined)
    put(folder, 'session-a\u001b[31m.json', '{')
    put(folder, 'other\u009b.txt', '')
    const moved = join(tempFolder(t), 'auth\u001b[31m')
    mkdirSync(join(moved, '..'), { recursive: true })
    renameSync(folder, moved)
    for (const args of [
      ['import', moved, newPath(t)], ['import', `${moved}x`, newPath(t)], ['verify', `${moved}y`], [EVIL], ['verify', EVIL, EVIL], ['verify', `--${EVIL}`], ['repair', 'a', 'b', '--doubtful', EVIL],
      ['verify', 'x', '--key-file', EVIL],
    ]) {
      const ended = await cli(args)
      assertSafe(ended)
      assert.match(ended.stdout + ended.stderr, /\\x(1b|9b)/)
      assertSafe(await cli([...args, '--json']))
    }
  })
})
