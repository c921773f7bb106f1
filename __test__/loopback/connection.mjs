/**
 * One WebSocket of a client, seen from the server: handshake, then stanzas both ways.
 *
 * `new Connection(ws, { onLogin, onStanza, onClose })`; `onLogin` gets Baileys' client payload once the handshake is through, `onStanza`
 * every stanza after it, in order. `greet(stanza, distant)` writes the first one, `send(stanza)` every other; `terminate()` cuts the line; `closed` resolves when the line is gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { decodeBinaryNode, encodeBinaryNode, NOISE_WA_HEADER } from 'baileys'
import { turns } from '../helpers/gate.mjs'
import { certificate, identity } from './certificate.mjs'
import { Handshake } from './noise.mjs'

const INTRO_BYTES = NOISE_WA_HEADER.length
const LENGTH_BYTES = 3
const GREETING_INTERVAL_MS = 50
/** How far away a distant server is. */
const ROUND_TRIP_MS = 200

export class Connection {
  #ws
  #events
  #received = Buffer.alloc(0)
  #reading = Promise.resolve()
  /** What the next frame is for. */
  #step = frame => this.#hello(frame)
  #intro
  #isAnswered = false
  #incoming
  #outgoing
  closed

  constructor(ws, events) {
    this.#ws = ws
    this.#events = events
    this.closed = new Promise(resolve => ws.once('close', resolve))
    this.closed.then(() => events.onClose())
    ws.on('message', bytes => this.#read(bytes))
    // What is cut while bytes are on their way ends with 'close' like everything else.
    ws.on('error', () => {})
  }

  get isOpen() {
    return this.#ws.readyState === this.#ws.OPEN
  }

  /** An answer that comes too late for one connection is not for the next: nothing is sent before the greeting is answered. */
  send(stanza) {
    if (!this.isOpen || !this.#isAnswered) return
    this.#write(this.#outgoing.encrypt(encodeBinaryNode(stanza)))
  }

  /**
   * Writes the first stanza, again and again until the client answers. Baileys drops what comes before it has derived the keys of the
   * connection, for which 6.7 uses another thread; over a real network that is done long before, so that a distant server writes once.
   */
  async greet(stanza, distant) {
    const bytes = this.#outgoing.encrypt(encodeBinaryNode(stanza))
    if (distant) {
      await sleep(ROUND_TRIP_MS)
      if (this.isOpen) this.#write(bytes)
      return
    }
    while (this.isOpen && !this.#isAnswered) {
      this.#write(bytes)
      await sleep(GREETING_INTERVAL_MS)
      // The timer may be late; what the client has sent meanwhile is read first.
      await turns()
    }
  }

  terminate() {
    this.#ws.terminate()
  }

  #read(bytes) {
    this.#received = Buffer.concat([this.#received, bytes])
    if (!this.#intro) {
      if (this.#received.length < INTRO_BYTES) return
      this.#intro = this.#take(INTRO_BYTES)
    }
    while (this.#received.length >= LENGTH_BYTES) {
      const length = this.#received.readUIntBE(0, LENGTH_BYTES)
      if (this.#received.length < LENGTH_BYTES + length) return
      this.#take(LENGTH_BYTES)
      this.#step(this.#take(length))
    }
  }

  #take(length) {
    const bytes = this.#received.subarray(0, length)
    this.#received = this.#received.subarray(length)
    return bytes
  }

  #write(bytes) {
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUIntBE(bytes.length, 0, LENGTH_BYTES)
    this.#ws.send(Buffer.concat([length, bytes]))
  }

  #hello(frame) {
    const handshake = new Handshake(this.#intro)
    this.#write(handshake.answer(frame, { identity, certificate }))
    this.#step = frame => this.#finish(handshake, frame)
  }

  #finish(handshake, frame) {
    const { login } = handshake.finish(frame)
    const { incoming, outgoing } = handshake.split()
    this.#incoming = incoming
    this.#outgoing = outgoing
    this.#step = frame => this.#stanza(frame)
    this.#events.onLogin(login)
  }

  #stanza(frame) {
    this.#isAnswered = true
    const bytes = this.#incoming.decrypt(frame)
    this.#reading = this.#reading.then(async () => this.#events.onStanza(await decodeBinaryNode(bytes)))
  }
}
