import { withBaileysTransactions } from './wrapped.mjs'

/** A plain `Map` per family: no copy, no encoding, nothing kept. What everything else costs on top of JavaScript itself. */
const makeKeys = () => {
  const families = new Map()
  return {
    async get(family, ids) {
      const records = families.get(family)
      const found = {}
      for (const id of ids) {
        const value = records?.get(id)
        if (value !== undefined) found[id] = value
      }
      return found
    },
    async set(data) {
      for (const family in data) {
        let records = families.get(family)
        if (!records) families.set(family, records = new Map())
        for (const id in data[family]) {
          const value = data[family][id]
          if (value === null || value === undefined) records.delete(id)
          else records.set(id, value)
        }
      }
    }
  }
}

export const open = async () => {
  const accounts = new Map()
  return {
    async account(name = 'default') {
      if (!accounts.has(name)) accounts.set(name, makeKeys())
      return accounts.get(name)
    },
    transactional: withBaileysTransactions,
    async close() {}
  }
}
