import { proto } from 'baileys'
import { open as openEnvironment } from 'lmdb'
import { withBaileysTransactions } from './wrapped.mjs'

/** Families that Baileys fills with raw bytes. */
const BYTES = new Set(['sender-key', 'identity-key'])
/** Families of small objects that share their field names. */
const RECORDS = new Set(['session', 'pre-key', 'device-list', 'tctoken', 'app-state-sync-key'])

/**
 * lmdb with each family in the encoding that measured fastest for it: raw bytes, msgpack with shared record structures,
 * or plain msgpack. `encoding: 'default'` keeps what lmdb does on its own for every family.
 *
 * Options:
 * - `flushed`: a `set` also waits until the commit is on the disk
 * - `noSync`: the environment never syncs
 * - `blocking`: commits on the calling thread (`transactionSync`) instead of lmdb's writer thread
 */
export const open = async (dir, { flushed = false, noSync = false, blocking = false, encoding = 'best' }) => {
  const environment = openEnvironment({ path: dir, noSync, maxDbs: 4 })
  const plain = environment.openDB({ name: 'plain' })
  const bytes = encoding === 'best' ? environment.openDB({ name: 'bytes', encoding: 'binary' }) : plain
  const records = encoding === 'best'
    ? environment.openDB({ name: 'records', sharedStructuresKey: Symbol.for('structures') })
    : plain
  const tableOf = family => BYTES.has(family) ? bytes : RECORDS.has(family) ? records : plain

  const write = (name, data) => {
    for (const family in data) {
      const table = tableOf(family)
      for (const id in data[family]) {
        const value = data[family][id]
        const key = `${name}:${family}:${id}`
        if (value === null || value === undefined) table.remove(key)
        else table.put(key, value)
      }
    }
  }

  return {
    async account(name = 'default') {
      return {
        async get(family, ids) {
          const table = tableOf(family)
          const found = {}
          for (const id of ids) {
            const value = table.get(`${name}:${family}:${id}`)
            if (value === undefined) continue
            found[id] = family === 'app-state-sync-key' ? proto.Message.AppStateSyncKeyData.fromObject(value) : value
          }
          return found
        },
        async set(data) {
          if (blocking) return void environment.transactionSync(() => write(name, data))
          await environment.batch(() => write(name, data))
          if (flushed) await environment.flushed
        }
      }
    },
    transactional: withBaileysTransactions,
    async close() {
      await environment.close()
    }
  }
}
