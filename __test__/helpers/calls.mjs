import { collect } from './casks.mjs'

/** Every call of a transaction's handle. */
export const handleCalls = tx => ({
  get: () => tx.get('session', ['a']),
  'get of nothing': () => tx.get('session', []),
  set: () => tx.set({ session: { zombie: 1 } }),
  'set of nothing': () => tx.set({}),
  clear: () => tx.clear(),
  setCreds: () => tx.setCreds({ zombie: true }),
  list: () => collect(tx.list('session')),
  listIds: () => collect(tx.listIds('session')),
  transaction: () => tx.transaction(async () => {}),
  'transaction with a label': () => tx.transaction(async () => {}, 'inner'),
  'independent transaction': () => tx.transaction(async () => {}, 'inner', { nested: 'independent' }),
  transactWith: () => tx.transactWith({ records: [{ type: 'session', id: 'zombie' }] }, async () => {}),
})

/** Every call of the ambient keys. */
export const ambientCalls = keys => {
  const { setCreds, ...calls } = handleCalls(keys)
  return calls
}
