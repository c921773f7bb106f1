/**
 * Real Baileys sockets on a loopback server.
 *
 * `const ada = await openSocket(t, { baileys, auth, server, ... })` resolves when the connection is open; it is closed with the test.
 *
 * - `baileys`: the module, `baileys` or `@whiskeysockets/baileys`. `auth`: `{ creds, keys }`, signed in (see `accounts.mjs`).
 * - `saveCreds`: called on 'creds.update'. `wrap`: gets the whole config and gives the one that is used (for `withCask`).
 * - Everything else goes into the config of `makeWASocket`. `userDevicesCache: neverCached` lets every 1:1 send ask the server for devices (`usync`)
 *   and, with rc14, for keys (`encrypt`), inside its transaction; else the first send to somebody does. A send to a group always asks for the group (`w:g2`).
 *
 * Of what it gives: `ada.sock` (the socket), `ada.jid` (without device, to write to), `ada.deviceJid`, `ada.lid`;
 * `ada.send(to, text)` (gives the id of the message); `ada.inbox`, see below; `ada.closed` (resolves with Baileys' error when the connection is gone, whoever ended it); `ada.close()`.
 *
 * `inbox.messages`: what others sent, as `{ id, chat, from, text, at }`, oldest first (`at`: `performance.now()` of the event);
 * `inbox.failures`: messages that could not be read, as Baileys' reasons. `await inbox.holds(...texts)`: until all of them were read.
 */
import { generateMessageIDV2, jidNormalizedUser } from 'baileys'
import { silent } from '../../demo/conversation.mjs'
import { afterwards } from '../helpers/cleanup.mjs'
import { gate, until, within } from '../helpers/gate.mjs'

const PATIENCE_MS = 10_000

/** Who cannot read a message asks their own phone for it first, and 6.7 waits 5 s for that before it asks the sender. As if it had asked already: */
const NOBODY_TO_ASK = { get: () => true, set() {}, del() {}, flushAll() {}, close() {} }

/** A cache that keeps nothing. */
export const neverCached = { get() {}, set() {}, del() {}, flushAll() {} }

export async function openSocket(t, { baileys, auth, server, saveCreds, wrap = config => config, ...rest }) {
  const { me } = auth.creds
  server.register({ jid: me.id, lid: me.lid, name: me.name })
  const sent = new Map()
  const config = wrap({
    auth: { creds: auth.creds, keys: auth.keys },
    waWebSocketUrl: server.url,
    logger: silent,
    // Else a new socket keeps its events for up to 20 s, waiting for the phone to send old messages.
    shouldSyncHistoryMessage: () => false,
    placeholderResendCache: NOBODY_TO_ASK,
    getMessage: async ({ id }) => sent.get(id),
    ...rest,
  })
  const sock = baileys.makeWASocket(config)
  const { opened: ready, open } = gate()
  const { opened: closed, open: close } = gate()
  const seen = {}
  sock.ev.on('connection.update', update => {
    Object.assign(seen, update)
    if (seen.connection === 'open' && seen.receivedPendingNotifications) open()
    if (update.connection === 'close') close(update.lastDisconnect?.error)
  })
  if (saveCreds) sock.ev.on('creds.update', saveCreds)
  const inbox = new Inbox(sock.ev)
  sock.ev.on('messages.upsert', ({ messages }) => {
    for (const { key, message } of messages) if (key.fromMe && message) sent.set(key.id, message)
  })
  const client = {
    sock,
    jid: jidNormalizedUser(me.id),
    deviceJid: me.id,
    lid: jidNormalizedUser(me.lid),
    inbox,
    closed,
    async send(to, text) {
      const messageId = generateMessageIDV2(me.id)
      sent.set(messageId, { extendedTextMessage: { text } })
      await sock.sendMessage(to, { text }, { messageId })
      return messageId
    },
    async close() {
      sock.end(undefined)
      await within(PATIENCE_MS, 'the socket closes', closed)
    },
  }
  afterwards(t, () => client.close())
  const refused = closed.then(error => {
    throw new Error('the connection did not open', { cause: error })
  })
  await within(PATIENCE_MS, 'the connection opens', Promise.race([ready, refused]))
  refused.catch(() => {})
  return client
}

class Inbox {
  messages = []
  failures = []

  constructor(ev) {
    ev.on('messages.upsert', ({ messages }) => {
      for (const { key, message, messageStubParameters } of messages) {
        if (key.fromMe) continue
        const text = message?.conversation || message?.extendedTextMessage?.text
        if (messageStubParameters?.length) this.failures.push(messageStubParameters[0])
        else if (text) this.messages.push({ id: key.id, chat: key.remoteJid, from: key.participant || key.remoteJid, text, at: performance.now() })
      }
    })
  }

  get texts() {
    return this.messages.map(({ text }) => text)
  }

  async holds(...texts) {
    await until(`reading ${texts}`, () => texts.every(text => this.texts.includes(text)), PATIENCE_MS)
  }
}
