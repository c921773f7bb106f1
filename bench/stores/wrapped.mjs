import { addTransactionCapability } from 'baileys'
import { silentLogger } from '../lib/logger.mjs'

/** Transactions as `makeSocket` of Baileys 7 lays them over every store, with its default options. */
export const withBaileysTransactions = keys =>
  addTransactionCapability(keys, silentLogger, { maxCommitRetries: 10, delayBetweenTriesMs: 3000 })
