/** The store as Baileys itself makes it: its transactions over a plain store that answers after a while. */
import { addTransactionCapability } from 'baileys'
import { pause } from './pause.mjs'

const silent = { level: 'silent', trace() {}, debug() {}, info() {}, warn() {}, error() {}, child: () => silent }

/** Everything `set` is told is there at once, after a turn of the event loop; a `get` sees one instant. */
function memoryStore() {
  const records = new Map()
  const keyOf = (family, id) => JSON.stringify([family, id])
  return {
    async get(family, ids) {
      await pause('turn')
      return Object.fromEntries(ids.filter(id => records.has(keyOf(family, id))).map(id => [id, records.get(keyOf(family, id))]))
    },
    async set(data) {
      await pause('turn')
      for (const [family, values] of Object.entries(data)) for (const [id, value] of Object.entries(values)) records.set(keyOf(family, id), value)
    },
  }
}

export const baileysStore = () => addTransactionCapability(memoryStore(), silent, { maxCommitRetries: 1, delayBetweenTriesMs: 1 })
