// A bot that answers "ping" with "pong": node examples/bot.mjs [folder]
//
// It prints the text of a QR code to scan, and goes on where it ended when it is started again. Ctrl+C ends it.
import { realpathSync } from 'node:fs'
import makeWASocket from 'baileys'
import { useCaskAuthState, withCask } from 'baileys-cask'
import { makeRetries, whyFinal } from './reconnect.mjs'

/**
 * Starts the bot on a folder. Gives what ends it.
 * @param {string} folder
 * @param {object} [socketOptions] further options of makeWASocket
 * @param {object} [caskOptions] further options of openCask
 */
export async function startBot(folder, socketOptions, caskOptions) {
  // openWaitMs: whoever restarts a bot may start the new process before the old one has ended.
  const { state, saveCreds, close } = await useCaskAuthState(folder, { openWaitMs: 10_000, ...caskOptions })
  let sock
  let ended = false

  function connect() {
    sock = makeWASocket(withCask({ auth: state, ...socketOptions }))
    // A rejection that nobody handles ends the process. What could not be saved is saved with the next update.
    sock.ev.on('creds.update', () => saveCreds().catch(error => console.error('creds are not saved:', error.message)))
    sock.ev.on('connection.update', ({ connection, lastDisconnect, qr }) => {
      if (qr) console.log(`Scan this as a QR code: ${qr}`)
      if (connection !== 'close' || ended) return
      const final = whyFinal(lastDisconnect)
      // Everything else is worth another try, with the same state: no need to open it again.
      if (final) console.error(final)
      else retries.again()
    })
    sock.ev.on('messages.upsert', ({ messages }) => {
      for (const { key, message } of messages) {
        const text = message?.conversation || message?.extendedTextMessage?.text
        if (text === 'ping' && !key.fromMe) sock.sendMessage(key.remoteJid, { text: 'pong' }).catch(error => console.error('no answer:', error.message))
      }
    })
  }

  const retries = makeRetries(connect)
  retries.start()
  return {
    async end() {
      ended = true
      retries.stop()
      sock.end(undefined)
      // Waits for what the socket still stores.
      await close()
    },
  }
}

if (import.meta.filename === realpathSync(process.argv[1])) {
  // libsignal prints whole sessions, keys included, when it closes one.
  console.info = console.warn = () => {}
  const bot = await startBot(process.argv[2] ?? './auth')
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      await bot.end()
      process.exit(0)
    })
  }
}
