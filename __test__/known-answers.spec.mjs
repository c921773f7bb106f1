// What is on disk is what docs/format.md and docs/values.md say: a program in Python that was written from these pages reads it, and gives
// the same as the package.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { contentsIn, noReader, readCask, runPython } from './helpers/cask-reader.mjs'
import { contents, open } from './helpers/casks.mjs'
import { fixture } from './helpers/fixture-contents.mjs'
import { copyFolder, newPath } from './helpers/folders.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const fixtures = join(here, 'fixtures')
const KEY = Buffer.alloc(32, 7)
const FAMILIES = ['of-my-own', 'own/\u00fcber']
const skip = noReader

/** What the package gives for a cask, which is closed again. */
async function packageReads(t, path, options) {
  const cask = await open(t, { path, ...options })
  const found = await contents(cask, FAMILIES)
  await cask.close()
  return found
}

for (const name of readdirSync(fixtures)) {
  test(`the reader finds in the fixture ${name} what the package finds`, { skip }, async t => {
    const { encryptionKey } = fixture(name)
    const report = readCask([join(fixtures, name)], encryptionKey)
    const path = newPath(t)
    copyFolder(join(fixtures, name), path)
    assert.deepEqual(contentsIn(report), await packageReads(t, path, encryptionKey && { encryptionKey }))
    assert.deepEqual([report.closed, report.cutBytes, report.sealed], [true, 0, encryptionKey !== undefined])
    if (name === 'v1-sealed') {
      assert.equal(report.segments.length, 3)
      assert.ok(report.segments[0].copy && report.segments.every(({ named }) => named), 'a copy and two segments')
      assert.deepEqual(report.hints.map(({ used }) => used), [true])
    }
  })
}

/** Values of every form, and numbers of every kind. */
const values = {
  ...fixture('v1-plain').contents.shop.records,
  'app-state-sync-key': { AAA: { keyData: Buffer.alloc(32, 1), fingerprint: { rawId: 3, currentIndex: 1, deviceIndexes: [0, 1] }, timestamp: '1700000000000' } },
  'own/\u00fcber': {
    numbers: [0, 127, 128, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 1.5, 1e300, 5e-324, -(2 ** 53), 0.1],
    texts: ['', 'a', '\u00fc', '\u{1f511}', '\u0000', '\u007f\u0080', 'x'.repeat(300)],
    nested: { '\u00fc': { '': null, 7: [true, false, []] }, ['__proto__']: Buffer.alloc(0), JSON: JSON.parse('{"__proto__":{"a":1}}') },
  },
}

/** Writes in three openings: puts, replaced and removed records, clears, a drop, a copy in place of the first segments. */
async function write(t, path, options) {
  for (let round = 0; round < 3; round++) {
    const cask = await open(t, { path, ...options })
    const shop = cask.account('shop')
    const { keys } = shop
    const other = cask.account('oth\u00e9r')
    for (const [family, all] of Object.entries(values)) await keys.set({ [family]: all })
    for (let n = 0; n < 12; n++) {
      await keys.set({ session: { [`${n}.${round}`]: Buffer.alloc(20_000, n), shared: `${n}` }, 'lid-mapping': { [n]: `${round}` } })
      await other.keys.set({ tctoken: { [n]: { token: Buffer.alloc(n), round } } })
    }
    await keys.set({ session: { '3.0': null, '4.0': null } })
    await shop.saveCreds({ round, noiseKey: { public: Buffer.from('public'), private: Buffer.from('private') } })
    if (round === 1) {
      await other.keys.clear()
      await other.saveCreds({ registrationId: 1 })
      await cask.account('gone').keys.set({ session: { x: 'y' } })
      await cask.account('gone').drop()
      for (let n = 0; n < 40; n++) await keys.set({ session: { gone: Buffer.alloc(100_000, n) } })
      await cask.compact()
      await cask.account('gone').keys.set({ session: { again: 'y' } })
    }
    await cask.close()
  }
}

const kinds = [
  ['plain', {}],
  ['plain, power-safe', { durability: 'power' }],
  ['sealed with a key', { encryptionKey: KEY }],
  ['sealed with a key, power-safe', { encryptionKey: KEY, durability: 'power' }],
  ['sealed with a passphrase', { encryptionKey: 'correct horse \u00fcber \u{1f511}' }],
]
for (const [kind, options] of kinds) {
  test(`the reader finds what the package has written: ${kind}`, { skip }, async t => {
    const path = newPath(t)
    await write(t, path, options)
    const report = readCask([path], options.encryptionKey)
    const found = contentsIn(report)
    assert.ok(report.segments.some(({ copy }) => copy) && report.segments.length >= 3, 'a copy and segments of the log')
    assert.ok(report.hints.length > 0 && report.hints.every(({ used }) => used), 'hints that say what their segments say')
    assert.deepEqual([report.closed, report.synced], [true, report.lastSequence])
    assert.deepEqual(Object.keys(found).sort(), ['gone', 'oth\u00e9r', 'shop'])
    assert.deepEqual(found, await packageReads(t, path, options))
  })
}

/** A folder that a process has written to until it was killed. */
function killed(t, options) {
  const path = newPath(t)
  const json = JSON.stringify({ ...options, encryptionKey: options.encryptionKey?.toString('hex') })
  const { signal, stderr } = spawnSync(process.execPath, [join(here, 'helpers/killed-main.mjs'), path, json], { encoding: 'utf8' })
  assert.equal(signal, 'SIGKILL', stderr)
  return path
}

for (const [kind, options] of kinds.filter(([, { encryptionKey }]) => typeof encryptionKey !== 'string')) {
  test(`the reader finds what a killed process had written: ${kind}`, { skip }, async t => {
    const path = killed(t, options)
    const report = readCask([path], options.encryptionKey)
    assert.deepEqual([report.closed, report.lastSequence, report.cutBytes], [false, 32, 0])
    const found = contentsIn(report)
    assert.equal(found.shop.records.session.length, 29)
    assert.deepEqual(found, await packageReads(t, path, options))
  })
}

for (const [kind, options] of [kinds[0], kinds[2]]) {
  for (const [what, change] of [['a torn last frame', bytes => bytes.subarray(0, -9)], ['bytes behind the last frame', bytes => Buffer.concat([bytes, Buffer.alloc(24, 1)])]]) {
    test(`the reader ends the log where the package ends it: ${what}, ${kind}`, { skip }, async t => {
      const path = killed(t, options)
      const [name] = readdirSync(path).filter(name => name.endsWith('.seg'))
      writeFileSync(join(path, name), change(readFileSync(join(path, name))))
      const report = readCask([path], options.encryptionKey)
      const cask = await open(t, { path, ...options })
      assert.deepEqual(contentsIn(report), await contents(cask, FAMILIES))
      assert.ok(report.cutBytes > 0)
      assert.equal(report.cutBytes, cask.recovery.cutBytes)
    })
  }
}

test('the reader refuses what was changed anywhere in a sealed cask', { skip }, t => {
  const whole = join(fixtures, 'v1-sealed')
  const segment = '0000000000000007.seg'
  const places = { key: [20, 45, 110, 155], manifest: [13, 60, 100, 360], [segment]: [30, 50, 165, 235, 250, 258, 270, 285, 300, 330], '0000000000000006.seg': [280, 100_000] }
  for (const [name, offsets] of Object.entries(places)) {
    const path = newPath(t)
    copyFolder(whole, path)
    const bytes = readFileSync(join(whole, name))
    for (const offset of offsets) {
      const changed = Buffer.from(bytes)
      changed[offset] ^= 1
      writeFileSync(join(path, name), changed)
      assert.equal(readCask([path], KEY).error, 'ERR_CASK_CORRUPT', `${name}, byte ${offset}`)
    }
  }
})

test('the reader refuses what was forged without the key', { skip }, () => assert.equal(runPython('check_reader.py').status, 0))

test('the reader wants the key of a cask, and no other', { skip }, () => {
  for (const key of [undefined, Buffer.alloc(32, 8), 'correct horse']) assert.equal(readCask([join(fixtures, 'v1-sealed')], key).error, 'ERR_CASK_KEY')
  assert.equal(readCask([join(fixtures, 'v1-plain')], KEY).error, 'ERR_CASK_KEY')
})

test('a key slot alone gives the data key of its cask', { skip }, () => {
  for (const name of ['v1-sealed', 'v1-sealed-passphrase']) {
    const { encryptionKey } = fixture(name)
    const { cask, dataKey, kind, ...rest } = readCask(['--slot', join(fixtures, name, 'key')], encryptionKey)
    assert.match(dataKey, /^[0-9a-f]{64}$/)
    assert.equal(cask, readCask([join(fixtures, name)], encryptionKey).cask)
    const isPassphrase = typeof encryptionKey === 'string'
    assert.equal(kind, isPassphrase ? 'passphrase' : 'key')
    assert.deepEqual(rest, { number: 1, ...(isPassphrase ? { memoryKib: 65536, passes: 3, lanes: 4 } : { memoryKib: 0, passes: 0, lanes: 0 }) })
  }
})

// tests/store/known_answers.rs holds the core against them.
test('the vectors are what the program makes of their inputs', { skip }, () => {
  const { status, stdout } = runPython('make_vectors.py')
  assert.equal(status, 0)
  assert.equal(stdout.replaceAll('\r\n', '\n'), readFileSync(join(here, 'known-answers/vectors.json'), 'utf8'))
})
