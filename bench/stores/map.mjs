import { keysByFamily } from './by-family.mjs'
import { withBaileysTransactions } from './wrapped.mjs'

/** A plain `Map` per family: no copy, no encoding, nothing kept. What everything else costs on top of JavaScript itself. */
const makeKeys = () => keysByFamily(value => value, value => value)

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
