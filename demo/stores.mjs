/** The stores that the demo runs on, opened the way a bot would open them. */
import { join } from 'node:path'
import { initAuthCreds, makeCacheableSignalKeyStore, useMultiFileAuthState } from 'baileys'
import { silent } from './conversation.mjs'

const multiFile = wrap => async folder => ({
  account: async name => {
    const { state, saveCreds } = await useMultiFileAuthState(join(folder, name))
    return { creds: state.creds, keys: wrap(state.keys), saveCreds }
  },
})

/** What costs nothing: the ceiling that cryptography alone sets. Nothing survives the process. */
function mapStore() {
  const records = new Map()
  const key = (family, id) => `${family} ${id}`
  return {
    async get(family, ids) {
      const found = {}
      for (const id of ids) {
        const value = records.get(key(family, id))
        if (value) found[id] = value
      }
      return found
    },
    async set(data) {
      for (const [family, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values)) {
          if (value) records.set(key(family, id), value)
          else records.delete(key(family, id))
        }
      }
    },
  }
}

/** By name: opens a folder; `account(name)` gives `{ creds, keys, saveCreds }`. */
export const STORES = {
  cask: async folder => {
    const { openCask, useCaskAuthState } = await import('baileys-cask')
    const cask = await openCask({ path: folder })
    return {
      recovery: { ...cask.recovery },
      account: async name => {
        const { state, saveCreds } = await useCaskAuthState(cask, { account: name })
        return { creds: state.creds, keys: state.keys, saveCreds }
      },
      close: () => cask.close(),
    }
  },
  'multi-file': multiFile(keys => keys),
  'multi-file cached': multiFile(keys => makeCacheableSignalKeyStore(keys, silent)),
  map: async () => ({ account: async () => ({ creds: initAuthCreds(), keys: mapStore(), saveCreds: async () => {} }) }),
}
