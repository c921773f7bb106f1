/** One conversation on one store, with the process that holds the store killed on the way. */
import { decodeBinaryNode, encodeBinaryNode } from 'baileys'
import { peerOf, PEOPLE } from './conversation.mjs'
import { diskUse } from './folder.mjs'
import { Ledger } from './ledger.mjs'
import { KeyServer, routed, Wire } from './network.mjs'
import { Killed, Phone } from './phone.mjs'

/** Messages of each chat and direction that the network keeps back before a kill, and how long before it starts to, in messages. */
const KEPT_BACK = 2
const KEEP_BACK_FROM = 24

/** How often a message that could not be read is sent again; Baileys gives up after five. */
const MOST_TRIES = 3

/** What libsignal answers to a message whose key it has used: alone, in a session with older ones beside it, in a group. */
const ALREADY_USED = /Key used already|No matching sessions|old counter/

const streamOf = message => `${message.from} ${message.toGroup}`

class Story {
  #kind
  #folder
  #watch
  #phone
  #spare
  #failure
  #ledger = new Ledger()
  #server = new KeyServer()
  #wire = new Wire()
  #messages
  #turns
  #begun = new Set()
  #keptBack = new Map()
  #keepBack = false
  #toRetry = []
  result = { read: 0, refused: 0, skipped: 0, lost: [], unreadable: 0, kills: [], ended: undefined }

  constructor({ kind, folder, turns, watch }) {
    this.#kind = kind
    this.#folder = folder
    this.#watch = watch
    this.#turns = turns
    this.#messages = turns.flatMap(turn => turn.messages)
    for (const message of this.#messages) message.state = 'unsent'
  }

  async run(kills) {
    const listener = (line, phone) => this.#hear(line, phone)
    this.#spare = new Phone(listener)
    await this.#openSpare(listener, kills.length > 0)
    await this.#phone.call('signIn')
    const planned = [...kills]
    let timer
    for (const turn of this.#turns) {
      const next = planned[0]
      this.#keepBack = Boolean(next) && this.result.read >= next.after - KEEP_BACK_FROM
      if (next && !timer && this.result.read >= next.after) timer = setTimeout(() => this.#phone.kill(), next.delayMs)
      try {
        await this.#play(turn)
      } catch (error) {
        if (this.#failure || !(error instanceof Killed)) throw this.#failure ?? error
        clearTimeout(timer)
        timer = undefined
        planned.shift()
        await this.#phone.gone
        await this.#recover(listener, planned.length > 0)
        if (this.result.ended) break
        await this.#play(turn)
      }
    }
    if (this.#failure) throw this.#failure
    await this.#phone.call('close')
    await Promise.all([this.#phone.end(), this.#spare?.end()])
    this.result.preKeysUsed = this.#ledger.removed('pre-key')
    return this.result
  }

  #hear(line, phone) {
    if (line.batch) this.#ledger.begin(line.batch, line)
    else if (line.acknowledged) this.#ledger.acknowledge(line.acknowledged)
    else if (line.storeFailed) this.#giveUp(new Error(`the store refused a write: ${line.storeFailed}`), phone)
    else if (line.question) {
      this.#serve(line).then(value => phone.answer(line.question, value)).catch(error => this.#giveUp(error, phone))
    }
  }

  #giveUp(error, phone) {
    this.#failure ??= error
    phone.kill()
  }

  async #serve({ what, lid, bytes }) {
    if (what === 'bundle') return (await encodeBinaryNode(await this.#server.bundle(lid))).toString('base64')
    await this.#server.upload(lid, await decodeBinaryNode(Buffer.from(bytes, 'base64')))
  }

  /** Takes the process that waits, and has the next one load its modules meanwhile. */
  async #openSpare(listener, another) {
    this.#phone = this.#spare
    this.#spare = another ? new Phone(listener) : undefined
    return this.#phone.call('open', { kind: this.#kind, folder: this.#folder })
  }

  /** Sends what of the turn is not sent, then has everything read that the network does not keep back. Can be called again. */
  async #play(turn) {
    if (turn.topUp && !turn.toppedUp) {
      await this.#phone.call('topUp', { account: turn.topUp })
      turn.toppedUp = true
    }
    await Promise.all(turn.messages.filter(({ state }) => state === 'unsent').map(message => this.#send(message)))
    await this.#deliver(this.#wire.waiting().filter(([message]) => !this.#keptBackNow(message)))
    if (!this.#keepBack) await this.#retry()
  }

  /**
   * What Baileys does when a message could not be decrypted: the sender encrypts it again, with a new session or sender key. No kill comes
   * in between: what is to be killed soon keeps messages back, and then nothing is tried again.
   */
  async #retry() {
    for (const message of this.#toRetry.splice(0)) {
      message.renew = true
      for (let tries = 0; tries < MOST_TRIES && message.state !== 'read'; tries++) {
        await this.#send(message)
        await this.#deliver(this.#wire.waiting())
      }
      if (message.state !== 'read') this.result.unreadable++
    }
    this.#toRetry = []
  }

  /**
   * A private chat may overtake what is kept back: Signal keeps the keys of the messages that are missing. A group may not, since
   * Baileys 7.0.0-rc14 cannot use such a key of a sender once the record was stored, on any store.
   */
  #keptBackNow(message) {
    if (message.keptBack) return true
    const stream = streamOf(message)
    const count = this.#keptBack.get(stream) ?? 0
    if (!this.#keepBack || !this.#begun.has(stream)) return false
    if (!message.toGroup && count === KEPT_BACK) return false
    this.#keptBack.set(stream, count + 1)
    return (message.keptBack = true)
  }

  async #send(message) {
    message.state = 'sending'
    const { id, from, toGroup, text } = message
    // libsignal tries a message on one session after the other and keeps what a failed try did to them: with an older message
    // in the air, a new session would be damaged by it, on any store.
    const renew = message.renew && !this.#keepBack
    const bytes = await this.#phone.call('send', { id, from, toGroup, text, renew }, call => (message.call = call))
    // On the wire from here on: the parent has it, whatever becomes of the child.
    message.state = 'on the wire'
    this.#wire.put(message, Buffer.from(bytes, 'base64'))
  }

  /** In the order in which they were sent. */
  async #deliver(waiting) {
    const inbound = await Promise.all(waiting.map(([message, bytes]) => routed(bytes, PEOPLE[message.from])))
    await Promise.all(waiting.map(([message], index) => this.#read(message, inbound[index])))
  }

  async #read(message, bytes) {
    const { usedUp } = message
    message.state = 'reading'
    let text
    let refusal
    try {
      text = await this.#phone.call('receive', { account: peerOf(message.from), bytes }, call => (message.call = call))
    } catch (error) {
      if (error instanceof Killed || this.#failure) throw error
      refusal = error.message
    }
    this.#wire.remove(message)
    if (usedUp && refusal && ALREADY_USED.test(refusal)) {
      message.state = 'refused'
      this.result.refused++
    } else if (!usedUp && text === message.text) {
      message.state = 'read'
      this.result.read++
      this.#begun.add(streamOf(message))
      this.#watch.read(message, this.result.read + this.result.refused, this.#messages.length)
    } else {
      message.state = 'lost'
      message.reason = usedUp && text ? 'its key had been used, and works again' : refusal ?? `it reads ${JSON.stringify(text)}`
      if (!this.result.lost.includes(message)) this.result.lost.push(message)
      this.#toRetry.push(message)
    }
  }

  async #recover(listener, another) {
    const reading = this.#messages.filter(({ state }) => state === 'reading')
    const sending = this.#messages.filter(({ state }) => state === 'sending')
    const inTheAir = this.#wire.waiting()
    const before = { ...this.result, lost: this.result.lost.length }
    const underWay = reading.length + sending.length
    const kill = { at: this.result.read, inTheAir: inTheAir.length, underWay, emptyFiles: diskUse(this.#folder).empty }
    this.result.kills.push(kill)
    this.#watch.killed(kill)

    const { openedMs, cutBytes } = await this.#openSpare(listener, another)
    const { found, unknown } = await this.#phone.call('inventory', { wanted: this.#ledger.names() })
    const { stored, ...report } = this.#ledger.settle(found)
    Object.assign(kill, report, { openedMs, cutBytes, unknown })
    const stepStored = message => ['session', 'sender-key'].some(family => stored.get(message.call)?.has(family))

    // Sent again as new messages: where the step was stored, a message number is skipped, which the other side must tolerate.
    kill.skipped = sending.filter(message => !message.renew && stepStored(message)).length
    for (const message of sending) message.state = 'unsent'
    // The network did not hear that these were read, and delivers them again: where the step was stored, the key must be used up.
    for (const message of reading) {
      message.state = 'on the wire'
      message.usedUp = stepStored(message)
    }
    this.#keptBack.clear()
    this.#keepBack = false
    for (const [message] of inTheAir) message.keptBack = false
    if (report.wrong.some(({ family }) => family === 'creds')) {
      this.result.ended = 'an identity is lost'
      return this.#watch.recovered(kill)
    }
    await this.#phone.call('signIn')
    await this.#deliver(inTheAir)
    kill.readLate = this.result.read - before.read
    kill.refused = this.result.refused - before.refused
    kill.lost = this.result.lost.length - before.lost
    kill.lateMessages = inTheAir.map(([message]) => message).filter(({ state }) => state === 'read')
    this.result.skipped += kill.skipped
    this.#watch.recovered(kill)
  }
}

/**
 * Has both accounts hold the conversation of `turns` on a store of `kind` in `folder`. For each of `kills` (`{ after, delayMs }`) the
 * process is killed so many milliseconds after so many messages were read, and another one goes on where it was.
 *
 * `watch` hears `read(message, count, total)`, `killed(kill)` and `recovered(kill)`. Rejects where the conversation cannot be held at
 * all; what a kill cost is in the result.
 */
export async function tell({ kills, ...rest }) {
  return new Story(rest).run(kills)
}
