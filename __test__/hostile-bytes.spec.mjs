// Bytes that no encoder wrote, in the place of values and of Baileys' files: an error of the right kind or a value, never more memory than
// the bytes bear out, never a look beyond them, never a changed prototype. CASK_FUZZ=seconds runs it for so long, with other seeds.
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { BufferJSON } from 'baileys'
import { CaskError } from 'baileys-cask'
import { linkedCreds, ONE_OF_EACH } from './helpers/auth-folders.mjs'
import { mutations, weight } from './hostile/mutations.mjs'
import { firstDifference, sharedProperties } from './hostile/prototypes.mjs'

const require = createRequire(import.meta.url)
const { Writer } = require('../js/codec/writer.js')
const { encodeValue } = require('../js/codec/encode.js')
const { decodeValue } = require('../js/codec/decode.js')
const { FAMILY_CODES, OTHER_FAMILY, CREDS } = require('../js/codec/families.js')
const { parseValue } = require('../js/migrate/json.js')

const SECONDS = Number(process.env.CASK_FUZZ ?? 0)
const INPUTS = 6_000
/** What a value may take for each of its bytes, and beside them. A session names its fields by numbers, and they come back as names. */
const PER_BYTE = 64
const BESIDE = 512
/** Bytes around what is decoded. */
const AROUND = 40

const chains = count => Object.fromEntries(Array.from({ length: count }, (_, n) => [`chain ${n}`, { chainKey: { counter: n, key: `key ${n}` }, chainType: 1 + n % 2, messageKeys: { [n]: `m${n}`, 300: 'n' } }]))
const session = count => ({
  registrationId: 5, currentRatchet: { ephemeralKeyPair: { pubKey: 'p', privKey: 'q' }, lastRemoteEphemeralKey: 'r', previousCounter: 0, rootKey: 's' },
  indexInfo: { baseKey: 't', baseKeyType: 1, closed: -1, used: 1_700_000_000_000, created: 1, remoteIdentityKey: 'u' }, _chains: chains(count),
  pendingPreKey: { signedKeyId: 1, baseKey: 'b', preKeyId: 2 },
})
const VALUES = {
  ...Object.fromEntries(Object.entries(ONE_OF_EACH).map(([family, records]) => [family, Object.values(records)])),
  session: [{ _sessions: { 'B/+=': session(3) }, version: 'v1' }, { _sessions: { a: session(0), b: session(1) }, version: 'v1' }],
  'app-state-sync-version': [
    ...Object.values(ONE_OF_EACH['app-state-sync-version']),
    { version: 300, hash: Buffer.alloc(128, 3), indexValueMap: { a: { valueMac: Buffer.alloc(32, 4) }, ['__proto__']: { valueMac: Buffer.alloc(64, 5) } } },
  ],
  creds: [linkedCreds()],
  other: [{ a: [1, -200, 1.5, null, true, false, 'text', 'ü', { ü: Buffer.alloc(100, 9), ['__proto__']: { polluted: true } }], b: Buffer.from('x') }, [[[['deep']]]], 'text'],
}
const codeOf = family => (family === 'creds' ? CREDS : FAMILY_CODES.get(family) ?? OTHER_FAMILY)

function encode(code, value) {
  const writer = new Writer(Buffer.alloc(4))
  encodeValue(writer, code, value, () => 'value')
  return Buffer.from(writer.buffer.subarray(0, writer.offset))
}

/** What decoding comes to, with something around the bytes that must not be looked at. */
function decoded(code, bytes, around) {
  const whole = Buffer.concat([Buffer.alloc(AROUND, around), bytes, Buffer.alloc(AROUND, around)])
  try {
    return { value: decodeValue(whole, AROUND, AROUND + bytes.length, code, {}) }
  } catch (error) {
    return { error }
  }
}

/** Runs a check on mutations of samples: some thousand, or for some time. */
function fuzz(t, parts, samples, check) {
  const until = Date.now() + (SECONDS * 1000) / parts
  let [seed, inputs, accepted] = [20_271, 0, 0]
  do {
    let left = INPUTS
    for (const bytes of mutations(samples, seed++)) {
      if (check(bytes)) accepted++
      inputs++
      if (--left === 0) break
    }
  } while (Date.now() < until)
  t.diagnostic(`${inputs} inputs, ${accepted} of them accepted, seeds 20271 to ${seed - 1}`)
  assert.ok(accepted > 0 && accepted < inputs, 'some are accepted and some are not')
}

const shared = sharedProperties()
const CASES = Object.entries(VALUES)
const PARTS = CASES.length + 1

for (const [family, values] of CASES) {
  test(`encoded values of ${family}`, { timeout: (SECONDS + 120) * 1000 }, t => {
    const code = codeOf(family)
    // Every form can be decoded without knowing the family, so those of others are met too.
    const samples = [...values.map(value => encode(code, value)), ...CASES.map(([other, [value]]) => encode(codeOf(other), value))]
    fuzz(t, PARTS, samples, bytes => {
      const shown = () => `${family}: ${bytes.toString('hex')}`
      const [one, other] = [decoded(code, bytes, 0), decoded(code, bytes, 0xff)]
      if (one.error) {
        assert.ok(one.error instanceof CaskError && one.error.code === 'ERR_CASK_CORRUPT', `${shown()} threw ${one.error.stack}`)
        assert.equal(other.error?.message, one.error.message, shown())
        return false
      }
      assert.deepStrictEqual(other.value, one.value, `${shown()} is read beyond its end`)
      assert.ok(weight(one.value) <= PER_BYTE * bytes.length + BESIDE, `${shown()} became ${weight(one.value)}`)
      let again
      try {
        again = encode(code, one.value)
      } catch (error) {
        // What can be read can be stored, but for what is no such key.
        assert.deepEqual([family, error.code], ['app-state-sync-key', 'ERR_CASK_INVALID_ARGUMENT'], `${shown()} threw ${error.stack} when it was stored again`)
        return true
      }
      const stored = decodeValue(again, 0, again.length, code, {})
      // Of these keys what is none of their fields is not stored.
      if (family !== 'app-state-sync-key') assert.deepStrictEqual(stored, one.value, `${shown()} is another value when it was stored again`)
      assert.deepStrictEqual(encode(code, stored), again, `${shown()} changes each time that it is stored`)
      return true
    })
    assert.equal(firstDifference(shared, sharedProperties()), undefined, 'what everybody shares has changed')
  })
}

test('files of Baileys', { timeout: (SECONDS + 120) * 1000 }, t => {
  const samples = CASES.flatMap(([, values]) => values.map(value => Buffer.from(JSON.stringify(value, BufferJSON.replacer))))
  fuzz(t, PARTS, samples, bytes => {
    let value
    try {
      value = parseValue(bytes)
    } catch (error) {
      assert.ok(error instanceof SyntaxError, `${bytes} threw ${error.stack}`)
      return false
    }
    assert.ok(weight(value) <= PER_BYTE * bytes.length + BESIDE, `${bytes} became ${weight(value)}`)
    return true
  })
  assert.equal(firstDifference(shared, sharedProperties()), undefined, 'what everybody shares has changed')
})
