/**
 * The server's half of Noise_XX_25519_AESGCM_SHA256 as WhatsApp runs it, and the ciphers that come out of it.
 *
 * `Handshake` answers a client hello and reads the client's finish; its `split` gives the two `Cipher`s of the connection.
 */
import { aesDecryptGCM, aesEncryptGCM, Curve, hkdf, NOISE_MODE, proto, sha256 } from 'baileys'

const nonce = counter => {
  const bytes = Buffer.alloc(12)
  bytes.writeUInt32BE(counter, 8)
  return bytes
}
const NOTHING = Buffer.alloc(0)

export class Handshake {
  #hash = Buffer.from(NOISE_MODE)
  #salt = this.#hash
  #key = this.#hash
  #counter = 0
  #ephemeral = Curve.generateKeyPair()

  /** `intro`: the bytes with which the client began the connection. */
  constructor(intro) {
    this.#mixHash(intro)
  }

  /** Takes the client's first message; gives the answer, in which the server names itself with `identity` and `certificate`. */
  answer(bytes, { identity, certificate }) {
    const { ephemeral } = proto.HandshakeMessage.decode(bytes).clientHello
    this.#mixHash(ephemeral)
    this.#mixHash(this.#ephemeral.public)
    this.#mixKey(Curve.sharedKey(this.#ephemeral.private, ephemeral))
    const sealed = this.#encrypt(identity.public)
    this.#mixKey(Curve.sharedKey(identity.private, ephemeral))
    const payload = this.#encrypt(certificate)
    return proto.HandshakeMessage.encode({ serverHello: { ephemeral: this.#ephemeral.public, static: sealed, payload } }).finish()
  }

  /** Takes the client's second message; gives its noise key and what it logs in with. */
  finish(bytes) {
    const { static: sealed, payload } = proto.HandshakeMessage.decode(bytes).clientFinish
    const noiseKey = this.#decrypt(sealed)
    this.#mixKey(Curve.sharedKey(this.#ephemeral.private, noiseKey))
    return { noiseKey, login: proto.ClientPayload.decode(this.#decrypt(payload)) }
  }

  split() {
    const [fromClient, toClient] = this.#derive(NOTHING)
    return { incoming: new Cipher(fromClient), outgoing: new Cipher(toClient) }
  }

  #mixHash(bytes) {
    this.#hash = sha256(Buffer.concat([this.#hash, bytes]))
  }

  #derive(input) {
    const bytes = Buffer.from(hkdf(Buffer.from(input), 64, { salt: this.#salt, info: '' }))
    return [bytes.subarray(0, 32), bytes.subarray(32)]
  }

  #mixKey(input) {
    [this.#salt, this.#key] = this.#derive(input)
    this.#counter = 0
  }

  #encrypt(plain) {
    const sealed = aesEncryptGCM(plain, this.#key, nonce(this.#counter++), this.#hash)
    this.#mixHash(sealed)
    return sealed
  }

  #decrypt(sealed) {
    const plain = aesDecryptGCM(sealed, this.#key, nonce(this.#counter++), this.#hash)
    this.#mixHash(sealed)
    return plain
  }
}

/** One direction of a connection after the handshake. */
class Cipher {
  #counter = 0
  #key

  constructor(key) {
    this.#key = key
  }

  encrypt(plain) {
    return aesEncryptGCM(plain, this.#key, nonce(this.#counter++), NOTHING)
  }

  decrypt(sealed) {
    return aesDecryptGCM(sealed, this.#key, nonce(this.#counter++), NOTHING)
  }
}
