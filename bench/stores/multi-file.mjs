import { makeCacheableSignalKeyStore, useMultiFileAuthState } from 'baileys'
import { join } from 'node:path'
import { silentLogger } from '../lib/logger.mjs'
import { withBaileysTransactions } from './wrapped.mjs'

/** Baileys' `useMultiFileAuthState`, one folder per account; with `cached`, behind Baileys' `makeCacheableSignalKeyStore`. */
export const open = async (dir, { cached = false } = {}) => ({
  async account(name = 'default') {
    const { state } = await useMultiFileAuthState(join(dir, name))
    return cached ? makeCacheableSignalKeyStore(state.keys, silentLogger) : state.keys
  },
  transactional: withBaileysTransactions,
  async close() {}
})
