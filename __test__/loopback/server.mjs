/**
 * A WhatsApp server on the loopback interface, as much of it as two unchanged Baileys sockets need to write to each other.
 *
 * `const server = await startServer(t)`; it stops with the test `t`. With `{ distant: true }` it greets once, after a while, as one does that is far away: for
 * clients in other threads, which may be too busy to answer before they are greeted again.
 *
 * - `server.url`: for `waWebSocketUrl`. `server.register({ jid, lid, name })`: makes an account known; `openSocket` does it.
 * - `server.addGroup({ id, members, addressing })`: members are jids of known accounts; addressing is `'pn'` (default) or `'lid'`.
 * - `server.addSilentDevice(jid)`: the jid of a linked device that has keys and never comes online, beside the phone that every account has.
 * - `server.hold(kind, { from })`: from now on stanzas of a kind (see `kinds.mjs`), from one account or from all, are not looked at;
 *   a query gets no answer, a message is not passed on. Gives a function that lets them through, in order, and ends the hold. Its
 *   `reached` resolves once something is held, its `count` is how many there are.
 * - `server.seen(kind, { from })`: the stanzas of a kind that arrived, oldest first. `server.retries({ from })`: how many requests for a retry.
 * - `server.disconnect(jid)`: cuts the line of a device (of all devices, where the jid names none) and resolves when it is gone.
 * - `server.close()`: cuts all lines; the test does it too.
 *
 * A stanza for a device that is not connected waits, and one that was not confirmed before the line broke is sent again, as ordinary and not as
 * offline messages: Baileys 6.7 keeps the events of those back until something else happens.
 */
import { once } from 'node:events'
import { WebSocketServer } from 'ws'
import { jidEncode } from 'baileys'
import { afterwards } from '../helpers/cleanup.mjs'
import { gate } from '../helpers/gate.mjs'
import { answer } from './answers.mjs'
import { Connection } from './connection.mjs'
import { quietLibsignal } from './console.mjs'
import { Directory } from './directory.mjs'
import { kindOf } from './kinds.mjs'
import { routed } from './routing.mjs'
import { uncountLongTimers } from './timers.mjs'

const SERVER = 's.whatsapp.net'

export async function startServer(t, { distant = false } = {}) {
  const server = new Server(distant)
  await server.listen()
  afterwards(t, () => server.close())
  return server
}

class Server {
  #sockets = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  #connections = new Set()
  #directory = new Directory()
  #holds = new Set()
  #log = []
  #undo
  #distant
  url

  constructor(distant) {
    this.#distant = distant
  }

  async listen() {
    await once(this.#sockets, 'listening')
    this.url = `ws://127.0.0.1:${this.#sockets.address().port}`
    this.#undo = [uncountLongTimers(), quietLibsignal()]
    this.#sockets.on('connection', ws => this.#accept(ws))
  }

  register(account) {
    return this.#directory.register(account)
  }

  addGroup(group) {
    this.#directory.addGroup(group)
    return group.id
  }

  addSilentDevice(jid) {
    this.#directory.addSilentDevice(jid)
  }

  hold(kind, { from } = {}) {
    const { opened: reached, open } = gate()
    const held = []
    const hold = { kind, account: from && this.#directory.account(from), take: (...stanza) => (held.push(stanza), open()) }
    this.#holds.add(hold)
    const release = () => {
      this.#holds.delete(hold)
      for (const stanza of held.splice(0)) this.#handle(...stanza)
    }
    Object.defineProperty(release, 'count', { get: () => held.length })
    return Object.assign(release, { reached })
  }

  seen(kind, { from } = {}) {
    const account = from && this.#directory.account(from)
    return this.#log.filter(entry => entry.kind === kind && (!account || entry.account === account)).map(({ stanza }) => stanza)
  }

  retries(options) {
    return this.seen('retry', options).length
  }

  async disconnect(jid) {
    const connections = this.#directory.devicesOf(jid).flatMap(({ connection }) => connection ?? [])
    await cut(connections)
  }

  async close() {
    if (!this.#undo) return
    const undo = this.#undo
    this.#undo = undefined
    await cut([...this.#connections])
    await new Promise(resolve => this.#sockets.close(resolve))
    undo.forEach(restore => restore())
  }

  #accept(ws) {
    let device
    const connection = new Connection(ws, {
      onLogin: login => {
        device = this.#logIn(connection, login)
      },
      onStanza: stanza => device && this.#receive(device, stanza),
      onClose: () => {
        this.#connections.delete(connection)
        if (device?.connection === connection) device.leave()
      },
    })
    this.#connections.add(connection)
  }

  #logIn(connection, { username, device: id }) {
    const device = this.#directory.device(jidEncode(String(username), SERVER, id))
    if (!device) {
      connection.greet({ tag: 'failure', attrs: { reason: '401' } }, this.#distant)
      return undefined
    }
    device.connection?.terminate()
    device.join(connection)
    connection.greet({ tag: 'success', attrs: { t: String(Math.floor(Date.now() / 1000)), lid: device.jid(true) } }, this.#distant)
    return device
  }

  #receive(device, stanza) {
    const kind = kindOf(stanza)
    this.#log.push({ kind, account: device.account, stanza })
    const hold = [...this.#holds].find(({ kind: of, account }) => of === kind && (!account || account === device.account))
    if (hold) hold.take(kind, stanza, device)
    else this.#handle(kind, stanza, device)
  }

  #handle(kind, stanza, device) {
    const { tag, attrs } = stanza
    if (tag === 'iq' && attrs.type !== 'result') this.#answer(kind, stanza, device)
    if (tag === 'message' || tag === 'receipt') this.#pass(stanza, device)
    if (tag === 'ack' || tag === 'receipt') device.confirm(stanza)
  }

  #answer(kind, stanza, device) {
    const content = answer(kind, stanza, device, this.#directory)
    const { id, to } = stanza.attrs
    device.connection?.send({ tag: 'iq', attrs: { type: 'result', id, from: to ?? `@${SERVER}` }, content })
    // A client says that it is ready with this query. What waited for it follows.
    if (kind === 'passive') {
      device.connection?.send({ tag: 'ib', attrs: {}, content: [{ tag: 'offline', attrs: { count: '0' } }] })
      device.beActive()
    }
  }

  #pass(stanza, sender) {
    const { id, to, type } = stanza.attrs
    const attrs = { id, class: stanza.tag, from: to, t: String(Math.floor(Date.now() / 1000)) }
    sender.connection?.send({ tag: 'ack', attrs: stanza.tag === 'receipt' && type ? { ...attrs, type } : attrs })
    for (const [device, copy] of routed(stanza, sender, this.#directory)) {
      device.deliver(copy)
    }
  }
}

async function cut(connections) {
  connections.forEach(connection => connection.terminate())
  await Promise.all(connections.map(({ closed }) => closed))
}
