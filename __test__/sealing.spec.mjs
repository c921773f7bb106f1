// Sealed casks, as JavaScript sees them.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { useMultiFileAuthState } from 'baileys'
import { changeEncryptionKey, openCask, repairCask, rewriteCask, useCaskAuthState, verifyCask } from 'baileys-cask'
import { authFolder, ONE_OF_EACH, textsIn } from './helpers/auth-folders.mjs'
import { contents, open } from './helpers/casks.mjs'
import { copyFolder, imageOf, logOf, newPath, tempFolder } from './helpers/folders.mjs'
import { contentsOf, damage, fill } from './helpers/upkeep.mjs'

const KEY = Buffer.alloc(32, 7)
const PASSPHRASE = 'correct horse battery staple'
const WRONG = [
  ['another key', Buffer.alloc(32, 8)],
  ['a passphrase', PASSPHRASE],
  ['none', undefined],
]

/** Options with a key, or without one: one that is there and undefined is a mistake. */
const under = encryptionKey => (encryptionKey === undefined ? {} : { encryptionKey })

/** A closed cask with something in it, and what that is. */
async function made(t, options) {
  const path = newPath(t)
  const cask = await openCask({ path, ...options })
  await fill(cask)
  const contents = await contentsOf(cask)
  await cask.close()
  return { path, contents }
}

async function contentsAt(t, path, options) {
  const cask = await open(t, { path, ...options })
  const contents = await contentsOf(cask)
  await cask.close()
  return contents
}

const everythingIn = folder => readdirSync(folder, { recursive: true }).map(name => readFileSync(join(folder, name))).reduce((all, file) => Buffer.concat([all, file]))

for (const [kind, encryptionKey] of [['a key', KEY], ['a passphrase', PASSPHRASE]]) {
  test(`a cask sealed with ${kind} gives back what was put into it`, async t => {
    const { path, contents } = await made(t, { encryptionKey })
    assert.deepEqual(await contentsAt(t, path, { encryptionKey }), contents)
    assert.equal((await verifyCask(path, { encryptionKey })).ok, true)
  })
}

test('nothing that was put into a sealed cask can be found in its folder or its backup', async t => {
  const path = newPath(t)
  const cask = await open(t, { path, encryptionKey: KEY })
  const id = '4915112345678.7'
  const value = { name: 'the value itself', bytes: 'QUJDREVGRw==' }
  const keys = cask.account('the account').keys
  for (let round = 0; round < 50; round += 1) await keys.set({ session: { [id]: { ...value, round, padding: 'x'.repeat(20_000) } }, 'lid-mapping': { [id]: 'lid of it' } })
  await keys.transaction(tx => tx.set({ 'sender-key': { [`${id}::group@g.us`]: Buffer.from('sender key bytes') } }), 'label of a transaction')
  await cask.account('the account').saveCreds({ me: { id: 'creds of it' } })
  await cask.compact()
  await cask.backup(`${path}-backup`)
  const secrets = [id, 'the account', 'the value itself', 'QUJDREVGRw==', 'lid of it', 'sender key bytes', 'group@g.us', 'label of a transaction', 'creds of it', 'session', 'xxxxxxxx']
  const look = folder => secrets.filter(secret => everythingIn(folder).includes(secret))
  assert.deepEqual([look(path), look(`${path}-backup`)], [[], []])
  await cask.close()
  assert.deepEqual(look(path), [])
  // The search finds what is there to be found.
  const plain = await open(t, { path: `${path}-plain` })
  await plain.account('the account').keys.set({ session: { [id]: value } })
  assert.deepEqual(look(`${path}-plain`), [id, 'the account', 'the value itself', 'QUJDREVGRw=='])
})

for (const [what, encryptionKey] of WRONG) {
  test(`a sealed cask does not open with ${what}, and nothing in it is touched`, async t => {
    const { path } = await made(t, { encryptionKey: KEY })
    const before = logOf(path)
    const refused = { code: 'ERR_CASK_KEY', path, retryable: false }
    await assert.rejects(openCask({ path, ...under(encryptionKey) }), refused)
    await assert.rejects(verifyCask(path, { encryptionKey }), refused)
    await assert.rejects(repairCask(path, `${path}-repaired`, { encryptionKey }), refused)
    await assert.rejects(rewriteCask(path, `${path}-plain`, { encryptionKey }), refused)
    if (encryptionKey) await assert.rejects(changeEncryptionKey(path, { encryptionKey, newEncryptionKey: KEY }), refused)
    assert.deepEqual(logOf(path), before)
    assert.deepEqual([existsSync(`${path}-repaired`), existsSync(`${path}-plain`)], [false, false])
  })
}

test('a plain cask does not open with a key, and is told how to be sealed', async t => {
  const { path, contents } = await made(t, {})
  const before = logOf(path)
  await assert.rejects(openCask({ path, encryptionKey: KEY }), { code: 'ERR_CASK_KEY', message: /not sealed.*rewriteCask/ })
  await assert.rejects(verifyCask(path, { encryptionKey: KEY }), { code: 'ERR_CASK_KEY' })
  await assert.rejects(changeEncryptionKey(path, { encryptionKey: KEY, newEncryptionKey: PASSPHRASE }), { code: 'ERR_CASK_KEY' })
  assert.deepEqual(logOf(path), before)
  assert.deepEqual(await contentsAt(t, path, {}), contents)
})

const BAD = [
  ['31 bytes', Buffer.alloc(31), RangeError],
  ['33 bytes', Buffer.alloc(33), RangeError],
  ['no bytes', new Uint8Array(0), RangeError],
  ['an empty passphrase', '', TypeError],
  ['a lone surrogate', 'a\ud800', TypeError],
  ['an array', Array(32).fill(1), TypeError],
  ['an ArrayBuffer', new ArrayBuffer(32), TypeError],
  ['words of 16 bits', new Uint16Array(32), TypeError],
  ['a number', 7, TypeError],
  ['null', null, TypeError],
  ['an object', { length: 32 }, TypeError],
]

for (const [what, encryptionKey, type] of BAD) {
  test(`a key that is ${what} is refused`, async t => {
    const path = newPath(t)
    const refused = error => error instanceof type && error.code === 'ERR_CASK_INVALID_ARGUMENT' && error.argument === 'encryptionKey'
    await assert.rejects(openCask({ path, encryptionKey }), refused)
    await assert.rejects(useCaskAuthState(path, { encryptionKey }), refused)
    await assert.rejects(verifyCask(path, { encryptionKey }), refused)
    await assert.rejects(changeEncryptionKey(path, { encryptionKey, newEncryptionKey: KEY }), refused)
    await assert.rejects(rewriteCask(path, `${path}-2`, { encryptionKey }), refused)
    assert.equal(existsSync(path), false)
  })
}

test('a detached key is refused', async t => {
  const key = new Uint8Array(32)
  structuredClone(key.buffer, { transfer: [key.buffer] })
  await assert.rejects(openCask({ path: newPath(t), encryptionKey: key }), { name: 'RangeError', argument: 'encryptionKey' })
})

test('a key in shared memory, a Buffer and a subclass are keys', async t => {
  const shared = new Uint8Array(new SharedArrayBuffer(32)).fill(7)
  class Secret extends Uint8Array {}
  const path = newPath(t)
  for (const encryptionKey of [shared, Buffer.from(KEY), new Secret(KEY)]) await (await open(t, { path, encryptionKey })).close()
})

test('a key that is there and undefined is a mistake, and nothing is written that is not sealed', async t => {
  const path = newPath(t)
  const missing = { name: 'TypeError', code: 'ERR_CASK_INVALID_ARGUMENT', retryable: false, message: /leave it out/ }
  await assert.rejects(openCask({ path, encryptionKey: process.env.NOBODY_HAS_SET_THIS }), { ...missing, argument: 'encryptionKey' })
  await assert.rejects(useCaskAuthState(path, { encryptionKey: undefined }), { ...missing, argument: 'encryptionKey' })
  assert.equal(existsSync(path), false)
  const { path: sealed } = await made(t, { encryptionKey: KEY })
  await assert.rejects(rewriteCask(sealed, path, { encryptionKey: KEY, newEncryptionKey: undefined }), { ...missing, argument: 'newEncryptionKey' })
  assert.equal(existsSync(path), false)
})

test('a cask in memory takes no key', async () => {
  await assert.rejects(openCask({ encryptionKey: KEY }), { name: 'TypeError', argument: 'encryptionKey' })
  await assert.rejects(openCask({ name: 'sealed', encryptionKey: KEY }), { name: 'TypeError', argument: 'encryptionKey' })
})

test('a second handle needs the same key, and is given at once', async t => {
  const path = newPath(t)
  const first = await open(t, { path, encryptionKey: PASSPHRASE })
  await first.account().keys.set({ session: { a: { x: 1 } } })
  for (const [what, encryptionKey] of [...WRONG.filter(([, key]) => key !== PASSPHRASE), ['letters', `${PASSPHRASE} `]]) {
    await assert.rejects(openCask({ path, ...under(encryptionKey) }), { code: 'ERR_CASK_KEY' }, what)
  }
  const second = await open(t, { path, encryptionKey: PASSPHRASE })
  assert.deepEqual(await second.account().keys.get('session', ['a']), { a: { x: 1 } })
  const plain = await open(t, { path: `${path}-plain` })
  await assert.rejects(openCask({ path: `${path}-plain`, encryptionKey: KEY }), { code: 'ERR_CASK_KEY' })
  await plain.close()
})

test('another thread needs the same key', async t => {
  const path = newPath(t)
  await open(t, { path, encryptionKey: KEY })
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { openCask } = require('baileys-cask')
    const attempt = (...keys) => openCask({ path: workerData.path, ...Object.fromEntries(keys.map(key => ['encryptionKey', key])) }).then(cask => cask.close().then(() => 'open'), error => error.code)
    ;(async () => parentPort.postMessage([await attempt(Buffer.alloc(32, 8)), await attempt(), await attempt(Buffer.alloc(32, 7))]))()
  `
  const worker = new Worker(source, { eval: true, workerData: { path } })
  t.after(() => worker.terminate())
  const answer = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  assert.deepEqual(answer, ['ERR_CASK_KEY', 'ERR_CASK_KEY', 'open'])
})

test('a changed key opens the cask and the old one does not, but does open an older backup', async t => {
  const { path, contents } = await made(t, { encryptionKey: KEY })
  copyFolder(path, `${path}-backup`)
  const segments = () => Object.entries(imageOf(path)).filter(([name]) => name.endsWith('.seg'))
  const before = segments()
  assert.equal(await changeEncryptionKey(path, { encryptionKey: KEY, newEncryptionKey: PASSPHRASE }), undefined)
  assert.deepEqual(segments(), before)
  await assert.rejects(openCask({ path, encryptionKey: KEY }), { code: 'ERR_CASK_KEY' })
  assert.deepEqual(await contentsAt(t, path, { encryptionKey: PASSPHRASE }), contents)
  assert.deepEqual(await contentsAt(t, `${path}-backup`, { encryptionKey: KEY }), contents)
})

test('the key of a cask that is open is not changed', async t => {
  const { path, contents } = await made(t, { encryptionKey: KEY })
  const cask = await open(t, { path, encryptionKey: KEY })
  const change = changeEncryptionKey(path, { encryptionKey: KEY, newEncryptionKey: PASSPHRASE })
  await assert.rejects(change, { code: 'ERR_CASK_LOCKED' })
  await cask.close()
  assert.deepEqual(await contentsAt(t, path, { encryptionKey: KEY }), contents)
})

test('the key of what is no cask is not changed, and nothing is made there', async t => {
  const path = newPath(t)
  const change = () => changeEncryptionKey(path, { encryptionKey: KEY, newEncryptionKey: PASSPHRASE })
  await assert.rejects(change(), { code: 'ERR_CASK_INVALID_ARGUMENT' })
  assert.equal(existsSync(path), false)
  mkdirSync(path)
  await assert.rejects(change(), { code: 'ERR_CASK_INVALID_ARGUMENT' })
  assert.deepEqual(readdirSync(path), [])
})

test('what an interrupted key change leaves behind is ignored and removed', async t => {
  const { path, contents } = await made(t, { encryptionKey: KEY })
  writeFileSync(join(path, 'key.tmp'), randomBytes(100))
  assert.deepEqual(await contentsAt(t, path, { encryptionKey: KEY }), contents)
  assert.equal(existsSync(join(path, 'key.tmp')), false)
})

test('a plain cask is sealed, sealed anew and unsealed by writing it to new folders', async t => {
  const { path, contents } = await made(t, {})
  const [sealed, again, plain] = ['sealed', 'again', 'plain'].map(name => `${path}-${name}`)
  const report = await rewriteCask(path, sealed, { newEncryptionKey: KEY })
  assert.deepEqual(Object.keys(report.accounts).sort(), Object.keys(contents).sort())
  assert.ok(Object.values(report.accounts).every(account => account.records > 0 && typeof account.hasCreds === 'boolean'))
  assert.deepEqual(await rewriteCask(sealed, again, { encryptionKey: KEY, newEncryptionKey: PASSPHRASE }), report)
  assert.deepEqual(await rewriteCask(again, plain, { encryptionKey: PASSPHRASE }), report)
  assert.deepEqual(await contentsAt(t, path, {}), contents)
  assert.deepEqual(await contentsAt(t, sealed, { encryptionKey: KEY }), contents)
  assert.deepEqual(await contentsAt(t, again, { encryptionKey: PASSPHRASE }), contents)
  assert.deepEqual(await contentsAt(t, plain, {}), contents)
})

test('a damaged cask is not rewritten, and a target where something is is refused', async t => {
  const { path } = await made(t, { encryptionKey: KEY })
  const target = tempFolder(t)
  writeFileSync(join(target, 'x'), 'x')
  await assert.rejects(rewriteCask(path, target, { encryptionKey: KEY }), { code: 'ERR_CASK_INVALID_ARGUMENT', argument: 'target' })
  damage(join(path, readdirSync(path).find(name => name.endsWith('.seg'))), 400)
  await assert.rejects(rewriteCask(path, `${path}-2`, { encryptionKey: KEY }), { code: 'ERR_CASK_CORRUPT' })
  assert.equal(existsSync(`${path}-2`), false)
})

test('a repaired sealed cask is sealed with the same key', async t => {
  const { path, contents } = await made(t, { encryptionKey: KEY })
  await repairCask(path, `${path}-repaired`, { encryptionKey: KEY })
  await assert.rejects(openCask({ path: `${path}-repaired` }), { code: 'ERR_CASK_KEY' })
  assert.deepEqual(await contentsAt(t, `${path}-repaired`, { encryptionKey: KEY }), contents)
})

test('a sealed cask without its key slot, or with another cask\'s, is damaged', async t => {
  const { path } = await made(t, { encryptionKey: KEY })
  const other = await made(t, { encryptionKey: KEY })
  const slot = join(path, 'key')
  const own = readFileSync(slot)
  writeFileSync(slot, readFileSync(join(other.path, 'key')))
  await assert.rejects(openCask({ path, encryptionKey: KEY }), { code: 'ERR_CASK_CORRUPT' })
  rmSync(slot)
  await assert.rejects(openCask({ path, encryptionKey: KEY }), { code: 'ERR_CASK_CORRUPT', message: /key slot/ })
  await assert.rejects(openCask({ path }), { code: 'ERR_CASK_KEY' })
  writeFileSync(slot, own)
  await (await open(t, { path, encryptionKey: KEY })).close()
})

test('a restored backup and the cask it was made from go on beside each other', async t => {
  const { path } = await made(t, { encryptionKey: KEY })
  copyFolder(path, `${path}-copy`)
  for (const [at, round] of [[path, 1], [`${path}-copy`, 2]]) {
    const cask = await open(t, { path: at, encryptionKey: KEY })
    await cask.account().keys.set({ session: { same: { round } } })
    await cask.close()
    const again = await open(t, { path: at, encryptionKey: KEY })
    assert.deepEqual(await again.account().keys.get('session', ['same']), { same: { round } })
    await again.close()
  }
})

test('useCaskAuthState keeps an account in a sealed folder', async t => {
  const path = newPath(t)
  const { state, saveCreds, close } = await useCaskAuthState(path, { encryptionKey: PASSPHRASE })
  state.creds.registrationId = 4711
  await saveCreds()
  await close()
  await assert.rejects(useCaskAuthState(path), { code: 'ERR_CASK_KEY' })
  const again = await useCaskAuthState(path, { encryptionKey: PASSPHRASE })
  assert.equal(again.state.creds.registrationId, 4711)
  await again.close()
})

test('a folder of Baileys is imported into a sealed cask once, and nothing of it can be read there', async t => {
  const source = await authFolder(t, ONE_OF_EACH)
  const before = textsIn(source)
  const plain = await useCaskAuthState(newPath(t), { importFrom: source })
  const expected = await contents(plain.cask, ['baileys-cask:import'])
  await plain.close()
  const path = newPath(t)
  const { state, saveCreds, cask, close } = await useCaskAuthState(path, { importFrom: source, encryptionKey: PASSPHRASE })
  assert.deepEqual(await contents(cask, ['baileys-cask:import']), expected)
  const multiFile = await useMultiFileAuthState(source)
  for (const [family, values] of Object.entries(ONE_OF_EACH)) {
    // Without the classes that Baileys makes of some.
    assert.deepEqual(structuredClone(await state.keys.get(family, Object.keys(values))), structuredClone(await multiFile.state.keys.get(family, Object.keys(values))))
  }
  assert.deepEqual(state.creds, multiFile.state.creds)
  await cask.backup(`${path}-backup`)

  // Ids, numbers, names and keys, as texts and as bytes, and how the records and the files are called.
  const bytes = [7, 1, 2, 3, 4, 5, 6].map(byte => Buffer.alloc(16, byte))
  const texts = [...new Set(Object.entries(ONE_OF_EACH).flatMap(([family, values]) => [family, ...Object.keys(values)]).filter(text => text.length > 5)), 'Ada', 'registrationId', 'noiseKey', state.creds.me.id, state.creds.advSecretKey, source, ...bytes]
  const look = folder => texts.filter(text => everythingIn(folder).includes(text))
  assert.deepEqual([look(path), look(`${path}-backup`)], [[], []])
  // The search finds what is there to be found.
  assert.ok(look(plain.cask.path).length > texts.length * 0.7, `${look(plain.cask.path)}`)

  await state.keys.set({ session: { '15550100002.0': { turned: true } } })
  state.creds.nextPreKeyId = 50
  await saveCreds()
  await close()
  assert.deepEqual(look(path), [])
  assert.deepEqual(textsIn(source), before)
  // Neither with the folder, nor without it, nor with another one in its place.
  for (const importFrom of [source, await authFolder(t, { session: { '15550100002.0': { other: true } } }), join(path, 'nothing')]) {
    const again = await useCaskAuthState(path, { importFrom, encryptionKey: PASSPHRASE })
    assert.deepEqual(await again.state.keys.get('session', ['15550100002.0']), { '15550100002.0': { turned: true } }, 'a ratchet was turned back')
    assert.deepEqual([again.state.creds.nextPreKeyId, again.state.creds.registrationId], [50, state.creds.registrationId])
    await again.close()
  }
  for (const key of [undefined, KEY]) await assert.rejects(useCaskAuthState(path, { importFrom: source, ...under(key) }), { code: 'ERR_CASK_KEY' })
})

test('no error shows anything of a key', async t => {
  const { path } = await made(t, { encryptionKey: PASSPHRASE })
  const attempts = [
    () => openCask({ path, encryptionKey: 'hunter2 hunter2' }),
    () => verifyCask(path, { encryptionKey: 'hunter2 hunter2' }),
    () => openCask({ path, encryptionKey: 'hunter2\ud800' }),
    () => changeEncryptionKey(path, { encryptionKey: 'hunter2 hunter2', newEncryptionKey: 'hunter2' }),
  ]
  for (const attempt of attempts) {
    const error = await attempt().then(() => assert.fail('it was opened'), reason => reason)
    assert.ok(!JSON.stringify([error.message, error.stack, { ...error }]).includes('hunter2'), error.message)
  }
})

test('a passphrase is stretched off the JavaScript thread', async t => {
  const path = newPath(t)
  let turns = 0
  const count = () => { turns += 1; handle = setImmediate(count) }
  let handle = setImmediate(count)
  const cask = await open(t, { path, encryptionKey: PASSPHRASE })
  clearImmediate(handle)
  assert.ok(turns > 10, `${turns} turns of the event loop`)
  await cask.close()
})
