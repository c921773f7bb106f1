import { openCask } from '../../index.mjs'

/** This package. `wrapped` puts Baileys' own transactions on top, as a stock `makeSocket` does, instead of the cask's. */
export const open = async (dir, { durability = 'process', wrapped = false } = {}) => {
  const cask = await openCask({ path: dir, durability })
  const transactional = wrapped
    ? (await import('./wrapped.mjs')).withBaileysTransactions
    : keys => keys
  return {
    async account(name = 'default') {
      return cask.account(name).keys
    },
    transactional,
    async close() {
      await cask.close()
    }
  }
}
