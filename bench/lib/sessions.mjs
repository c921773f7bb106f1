import { createPrivateKey, createPublicKey } from 'node:crypto'
import { createRequire } from 'node:module'
import { seededBytes } from './seeded.mjs'

const require = createRequire(import.meta.url)
// Resolved from Baileys, so that it is the copy Baileys runs on.
const requireOfBaileys = createRequire(require.resolve('baileys/package.json'))
const libsignal = requireOfBaileys('libsignal')
const curve = requireOfBaileys('libsignal/src/curve')

const PRIVATE_KEY_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex')
const FIXED_TIME_MS = Date.UTC(2025, 0, 1)

/** Runs `work` with key pairs and clock that depend on `seed` alone. */
const deterministic = async (seed, work) => {
  const { generateKeyPair } = curve
  const { now } = Date
  let pairs = 0
  curve.generateKeyPair = () => keyPair(`${seed}/pair/${pairs++}`)
  Date.now = () => FIXED_TIME_MS
  try {
    return await work()
  } finally {
    curve.generateKeyPair = generateKeyPair
    Date.now = now
  }
}

const keyPair = label => {
  const privKey = seededBytes(label, 32)
  privKey[0] &= 248
  privKey[31] = (privKey[31] & 127) | 64
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_KEY_HEAD, privKey]), format: 'der', type: 'pkcs8' })
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
  return { privKey, pubKey: Buffer.concat([Buffer.of(5), raw]) }
}

/** One side of a conversation: the storage interface that libsignal asks for, over plain fields. */
class Party {
  constructor(seed, registrationId) {
    this.identity = keyPair(`${seed}/identity`)
    this.signedPreKey = keyPair(`${seed}/signed-pre-key`)
    this.preKey = keyPair(`${seed}/pre-key`)
    this.registrationId = registrationId
    this.records = new Map()
  }
  loadSession(id) {
    const plain = this.records.get(id)
    return plain && libsignal.SessionRecord.deserialize(structuredClone(plain))
  }
  storeSession(id, record) {
    this.records.set(id, record.serialize())
  }
  isTrustedIdentity() { return true }
  getOurIdentity() { return this.identity }
  getOurRegistrationId() { return this.registrationId }
  loadPreKey() { return this.preKey }
  removePreKey() {}
  loadSignedPreKey() { return this.signedPreKey }
  bundle() {
    return {
      registrationId: this.registrationId,
      identityKey: this.identity.pubKey,
      signedPreKey: {
        keyId: 1,
        publicKey: this.signedPreKey.pubKey,
        signature: libsignal.curve.calculateSignature(this.identity.privKey, this.signedPreKey.pubKey)
      },
      preKey: { keyId: 1, publicKey: this.preKey.pubKey }
    }
  }
}

/**
 * A session as `SessionRecord.serialize()` gives it after `turns` messages each way between two real key bundles.
 * It is the plain object that Baileys hands to `keys.set({ session })`.
 */
export const makeSession = (seed, turns = 11) => deterministic(seed, async () => {
  const alice = new Party(`${seed}/alice`, 1001)
  const bob = new Party(`${seed}/bob`, 2002)
  const toBob = new libsignal.ProtocolAddress('bob', 0)
  const toAlice = new libsignal.ProtocolAddress('alice', 0)
  await new libsignal.SessionBuilder(alice, toBob).initOutgoing(bob.bundle())
  const send = async (from, address, to, back, text) => {
    const { type, body } = await new libsignal.SessionCipher(from, address).encrypt(Buffer.from(text))
    const cipher = new libsignal.SessionCipher(to, back)
    const bytes = Buffer.from(body, 'binary')
    return type === 3 ? cipher.decryptPreKeyWhisperMessage(bytes) : cipher.decryptWhisperMessage(bytes)
  }
  for (let turn = 0; turn < turns; turn++) {
    await send(alice, toBob, bob, toAlice, `question ${turn}`)
    await send(bob, toAlice, alice, toBob, `answer ${turn}`)
  }
  return JSON.parse(JSON.stringify(alice.records.get(toBob.toString())))
})
