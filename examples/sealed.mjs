// The bot on a store that is sealed, with a key from a mounted secret (CASK_KEY_FILE, 32 bytes: openssl rand 32 > cask-key) or a passphrase
// from the environment (CASK_KEY):
//
//   CASK_KEY_FILE=./cask-key node examples/sealed.mjs run ./auth
//   CASK_KEY_FILE=./cask-key CASK_NEW_KEY_FILE=./new-key node examples/sealed.mjs change-key ./auth
//   CASK_KEY_FILE=./cask-key node examples/sealed.mjs seal ./auth-plain ./auth
//
// The bot is stopped while its key is changed or its store is sealed.
import { readFileSync, realpathSync } from 'node:fs'
import { changeEncryptionKey, rewriteCask } from 'baileys-cask'
import { startBot } from './bot.mjs'

/** The key that the environment names: bytes of a file, or a passphrase. */
export function keyFrom(env, name = 'CASK_KEY') {
  if (env[`${name}_FILE`]) return readFileSync(env[`${name}_FILE`])
  if (env[name]) return env[name]
  // Going on without one would make a new folder that is not sealed.
  throw new Error(`no key: set ${name}_FILE to the path of a file of 32 bytes, or ${name} to a passphrase`)
}

/** Gives keys to `use`, and wipes what can be wiped: the cask keeps no reference to them. */
async function withKeys(keys, use) {
  try {
    return await use(...keys)
  } finally {
    for (const key of keys) if (typeof key !== 'string') key.fill(0)
  }
}

/** Starts the bot. A wrong key is refused with `ERR_CASK_KEY` before anything is written, and so is a folder that is not sealed. */
export const startSealedBot = (folder, env, socketOptions) => withKeys([keyFrom(env)], encryptionKey => startBot(folder, socketOptions, { encryptionKey }))

/** Replaces one small file: after a crash exactly one of the two keys opens the store. Older backups keep the old one. */
export const changeKey = (folder, env) => withKeys([keyFrom(env), keyFrom(env, 'CASK_NEW_KEY')], (encryptionKey, newEncryptionKey) => changeEncryptionKey(folder, { encryptionKey, newEncryptionKey }))

/** Writes a plain store to a new folder, sealed, and reads it back. The plain one stays, and must be removed and never be used again. */
export const seal = (plain, folder, env) => withKeys([keyFrom(env)], newEncryptionKey => rewriteCask(plain, folder, { newEncryptionKey }))

const COMMANDS = {
  run: async folder => {
    const bot = await startSealedBot(folder, process.env)
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.once(signal, async () => {
        await bot.end()
        process.exit(0)
      })
    }
  },
  'change-key': async folder => {
    await changeKey(folder, process.env)
    console.log('the new key opens it, and the old one does not')
  },
  seal: async (plain, folder) => {
    const { accounts } = await seal(plain, folder, process.env)
    console.log(`${Object.keys(accounts).length} accounts sealed; remove ${plain} and its backups`)
  },
}

if (import.meta.filename === realpathSync(process.argv[1])) {
  // libsignal prints whole sessions, keys included, when it closes one.
  console.info = console.warn = () => {}
  const [, , command, ...folders] = process.argv
  const work = COMMANDS[command]
  if (!work || folders.length !== work.length) {
    console.error('usage: node examples/sealed.mjs run folder | change-key folder | seal plain-folder folder')
    process.exit(2)
  }
  try {
    await work(...folders)
  } catch (error) {
    // Its message has no part of a key in it.
    console.error(error.message)
    process.exit(1)
  }
}
