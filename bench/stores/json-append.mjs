import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { BufferJSON } from 'baileys'
import { withBaileysTransactions } from './wrapped.mjs'

/**
 * The least that a store of its own bytes can do in JavaScript: each value is a text of JSON in memory, and each `set` appends what it
 * changes to a file. Nothing can be read from that file, nothing is atomic, and deletes are not kept.
 */
const makeKeys = file => {
  const families = new Map()
  return {
    async get(family, ids) {
      const records = families.get(family)
      const found = {}
      for (const id of ids) {
        const text = records?.get(id)
        if (text !== undefined) found[id] = JSON.parse(text, BufferJSON.reviver)
      }
      return found
    },
    async set(data) {
      let all = ''
      for (const family in data) {
        let records = families.get(family)
        if (!records) families.set(family, records = new Map())
        for (const id in data[family]) {
          const value = data[family][id]
          if (value === null || value === undefined) {
            records.delete(id)
          } else {
            const text = JSON.stringify(value, BufferJSON.replacer)
            records.set(id, text)
            all += text
          }
        }
      }
      if (all !== '') writeSync(file, all)
    }
  }
}

export const open = async dir => {
  mkdirSync(dir, { recursive: true })
  const file = openSync(join(dir, 'log'), 'a')
  const accounts = new Map()
  return {
    async account(name = 'default') {
      if (!accounts.has(name)) accounts.set(name, makeKeys(file))
      return accounts.get(name)
    },
    transactional: withBaileysTransactions,
    async close() {
      closeSync(file)
    }
  }
}
