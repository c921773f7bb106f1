import { openCask, withCask } from '../../index.mjs'
import { captureNoStacks } from '../lib/stackless.mjs'

const KEY = new Uint8Array(32).fill(7)
const PASSPHRASE = 'correct horse battery staple'

/**
 * This package. `wrapped` puts Baileys' own transactions on top, as a stock `makeSocket` does, instead of the cask's; `socket` hands
 * sockets over to the cask; `sealed` encrypts it, under a passphrase or a key; without `stacks` nothing keeps where a call was made.
 */
export const open = async (dir, { durability = 'process', wrapped = false, socket = false, stacks = true, sealed = false, passphrase = false } = {}) => {
  if (!stacks) captureNoStacks()
  const key = sealed ? { encryptionKey: passphrase ? PASSPHRASE : KEY } : {}
  const cask = await openCask({ path: dir, durability, ...key })
  const transactional = wrapped
    ? (await import('./wrapped.mjs')).withBaileysTransactions
    : keys => keys
  return {
    async account(name = 'default') {
      return cask.account(name).keys
    },
    stats: () => cask.stats(),
    metrics: () => cask.metrics(),
    transactional,
    socketConfig: config => socket ? withCask(config) : config,
    async close() {
      await cask.close()
    }
  }
}
