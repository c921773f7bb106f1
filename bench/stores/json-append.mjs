import { BufferJSON } from 'baileys'
import { appendAndSync, appendOnly } from '../lib/append-file.mjs'
import { keysByFamily } from './by-family.mjs'
import { withBaileysTransactions } from './wrapped.mjs'

/**
 * The least that a store of its own bytes can do in JavaScript: each value is a text of JSON in memory, and each `set` appends what it
 * changes to a file. Nothing can be read from that file, nothing is atomic, and deletes are not kept.
 */
const makeKeys = file => {
  let texts = ''
  const keep = value => {
    const text = JSON.stringify(value, BufferJSON.replacer)
    texts += text
    return text
  }
  const keys = keysByFamily(keep, text => JSON.parse(text, BufferJSON.reviver))
  return {
    get: keys.get,
    async set(data) {
      texts = ''
      // Its work is done when it returns; nothing of it waits.
      const done = keys.set(data)
      if (texts !== '') file.append(texts)
      return done
    }
  }
}

export const open = async (dir, { synced = false }) => {
  const file = synced ? appendAndSync(dir) : appendOnly(dir)
  const accounts = new Map()
  return {
    async account(name = 'default') {
      if (!accounts.has(name)) accounts.set(name, makeKeys(file))
      return accounts.get(name)
    },
    transactional: withBaileysTransactions,
    close: async () => file.close()
  }
}
