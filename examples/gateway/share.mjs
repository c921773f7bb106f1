// One thread of the gateway: a socket for each account of its share.
import { parentPort, workerData } from 'node:worker_threads'
import makeWASocket from 'baileys'
import { openCask, useCaskAuthState, withCask } from 'baileys-cask'
import { makeRetries, whyFinal } from '../reconnect.mjs'

// libsignal prints whole sessions, keys included, when it closes one.
console.info = console.warn = () => {}

const { folder, accounts, socketOptions } = workerData
const cask = await openCask({ path: folder })
const sockets = new Map()
let ended = false
const silent = { level: 'silent', child: () => silent, trace() {}, debug() {}, info() {}, warn() {}, error() {} }
const say = event => parentPort.postMessage(event)

/** Starts an account. Resolves when it is connected, waits to be linked, or has failed for the first time. */
async function start(account) {
  // Given a cask, it opens nothing: all accounts of this thread share one handle.
  const { state, saveCreds } = await useCaskAuthState(cask, { account })

  let settled
  const first = new Promise(resolve => (settled = resolve))
  const retries = makeRetries(() => {
    if (ended) return settled()
    const sock = makeWASocket(withCask({ auth: state, logger: silent, ...socketOptions }))
    sockets.set(account, sock)
    // A rejection that nobody handles ends the thread, and all accounts of its share with it.
    sock.ev.on('creds.update', () => saveCreds().catch(error => say({ what: 'creds not saved', account, error: error.message })))
    sock.ev.on('connection.update', ({ connection, lastDisconnect, qr }) => {
      if (qr) say({ what: 'scan', account, qr })
      if (connection === 'open') say({ what: 'open', account })
      if (qr || connection === 'open' || connection === 'close') settled()
      if (connection !== 'close' || ended) return
      const final = whyFinal(lastDisconnect)
      if (final) say({ what: 'stopped', account, error: final })
      else retries.again()
    })
    sock.ev.on('messages.upsert', ({ messages }) => {
      for (const { key, message } of messages) {
        const text = message?.conversation || message?.extendedTextMessage?.text
        if (text && !key.fromMe) say({ what: 'message', account, from: key.remoteJid, text })
      }
    })
  })
  retries.start()
  await first
}

parentPort.on('message', async ({ what, account, to, text }) => {
  if (what === 'send') {
    try {
      if (!sockets.has(account)) throw new Error('it has no socket')
      await sockets.get(account).sendMessage(to, { text })
      say({ what: 'sent', account, text })
    } catch (error) {
      say({ what: 'not sent', account, text, error: error.message })
    }
  } else if (what === 'end') {
    ended = true
    for (const sock of sockets.values()) sock.end(undefined)
    // Waits for what the sockets still store.
    await cask.close()
    process.exit(0)
  }
})

// A few at a time: a thousand handshakes at once would take longer than the server waits for each.
const AT_ONCE = 4
const queue = [...accounts]
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  for (let account = queue.shift(); account !== undefined && !ended; account = queue.shift()) {
    // One account that cannot be started is no reason for the others to stand still.
    await start(account).catch(({ code, message }) => say({ what: 'not started', account, code, error: message }))
  }
}))
