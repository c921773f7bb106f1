/**
 * The process that gets killed: two accounts on one store, driven by its parent.
 *
 * Commands come over the IPC channel. Everything it says goes to descriptor 3, one JSON line each, written synchronously:
 * once said, a line is in the pipe and outlives the process.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { decodeBinaryNode, encodeBinaryNode } from 'baileys'
import { PEOPLE, signIn } from './conversation.mjs'
import { CREDS, digestOf } from './ledger.mjs'
import { race } from './speed.mjs'
import { STORES } from './stores.mjs'

// libsignal prints whole sessions, keys included, when it closes one.
console.info = console.warn = console.error = () => {}

const names = Object.keys(PEOPLE)
/** The call that a write serves. */
const currentCall = new AsyncLocalStorage()
const questions = new Map()
const states = {}
const accounts = {}
let store
let batches = 0
let questionsAsked = 0

function say(line) {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
  for (let written = 0; written < bytes.length;) written += writeSync(3, bytes, written)
}

const ask = (what, rest) => new Promise(resolve => {
  const question = ++questionsAsked
  questions.set(question, resolve)
  say({ question, what, ...rest })
})

/** The parent is the server: what it was given outlives this process. */
const distantServer = {
  upload: async (lid, node) => ask('upload', { lid, bytes: encodeBinaryNode(node).toString('base64') }),
  bundle: async lid => decodeBinaryNode(Buffer.from(await ask('bundle', { lid }), 'base64')),
}

/** Tells the parent about a batch before the store gets it, and again when the store has acknowledged it. */
async function announced(account, records, write) {
  const batch = ++batches
  say({ batch, call: currentCall.getStore(), account, records })
  try {
    await write()
  } catch (error) {
    // Baileys tries a failed commit again for half a minute; the parent should know now.
    say({ storeFailed: `${error.code ?? error.name}: ${error.message}` })
    throw error
  }
  say({ acknowledged: batch })
}

const digestsOf = values => Object.fromEntries(Object.entries(values).map(([id, value]) => [id, digestOf(value)]))

/** The same state, with every write announced. */
const announcing = (account, { creds, keys, saveCreds }) => ({
  creds,
  keys: {
    get: (family, ids) => keys.get(family, ids),
    set: data => {
      const records = Object.fromEntries(Object.entries(data).map(([family, values]) => [family, digestsOf(values)]))
      return announced(account, records, () => keys.set(data))
    },
  },
  saveCreds: () => announced(account, { [CREDS]: { [CREDS]: digestOf(creds) } }, saveCreds),
})

const commands = {
  /** Opens the store with both accounts; signs nobody in, and so writes nothing where there are creds. */
  async open({ kind, folder }) {
    const started = performance.now()
    store = await STORES[kind](folder)
    for (const name of names) states[name] = await store.account(name)
    return { openedMs: performance.now() - started, cutBytes: store.recovery?.cutBytes }
  },

  /** Digests of the records asked for, and the ids of all others, where the store can list. */
  async inventory({ wanted }) {
    const found = {}
    const unknown = []
    for (const [account, families] of Object.entries(wanted)) {
      const { creds, keys } = states[account]
      found[account] = {}
      for (const [family, ids] of Object.entries(families)) {
        const values = family === CREDS ? { [CREDS]: creds } : await keys.get(family, ids)
        found[account][family] = digestsOf(values)
        if (!keys.listIds || family === CREDS) continue
        const expected = new Set(ids)
        for await (const id of keys.listIds(family)) if (!expected.has(id)) unknown.push({ account, family, id })
      }
    }
    return { found, unknown }
  },

  /** Signs both in; from here on the parent hears of every write. */
  async signIn() {
    for (const name of names) {
      accounts[name] = await signIn(name, { ...announcing(name, states[name]), server: distantServer })
      await accounts[name].register()
    }
  },

  async send(message) {
    return (await accounts[message.from].send(message)).toString('base64')
  },

  async receive({ account, bytes }) {
    return accounts[account].receive(Buffer.from(bytes))
  },

  async topUp({ account }) {
    await accounts[account].uploadPreKeys(5)
  },

  /** Runs the stores of `kinds` side by side, each in a folder of its own, and says how far it is. */
  race({ kinds, folder, rounds, budgetMs }) {
    const folderOf = kind => join(folder, kind.replace(' ', '-'))
    return race({ kinds, folderOf, rounds, budgetMs, watch: (kind, done, total) => say({ progress: { kind, done, total } }) })
  },

  async close() {
    for (const name of names) accounts[name]?.close()
    await store?.close?.()
  },
}

process.on('message', async ({ call, command, args, question, value, leave }) => {
  if (leave) process.exit()
  if (question) {
    questions.get(question)(value)
    questions.delete(question)
    return
  }
  try {
    const work = () => commands[command](args)
    // An async context costs every promise a little; a race is run without.
    const result = await (command === 'race' ? work() : currentCall.run(call, work))
    say({ answered: call, value: result ?? null })
  } catch (error) {
    say({ answered: call, error: error.code ? `${error.code}: ${error.message}` : error.message })
  }
})
// The parent is gone.
process.on('disconnect', () => process.exit())
