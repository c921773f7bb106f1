import { ltHash } from './data.mjs'

const ENTRIES = 5_000

const open = async ({ openStore, same }) => {
  const store = await openStore()
  const keys = await store.account()
  const data = { 'app-state-sync-version': { critical_block: ltHash(ENTRIES) } }
  await keys.set(data)
  same(await keys.get('app-state-sync-version', ['critical_block']), data['app-state-sync-version'])
  return { store, keys, data }
}

export const ltHashSetLane = async context => {
  const { store, keys, data } = await open(context)
  // Two states take turns: SQLite writes nothing at all where a row is replaced by an equal one.
  const turns = [{ 'app-state-sync-version': { critical_block: ltHash(ENTRIES + 1) } }, data]
  let next = 0
  return {
    async run(n) {
      for (let i = 0; i < n; i++) await keys.set(turns[next++ % 2])
    },
    close: () => store.close()
  }
}

export const ltHashGetLane = async context => {
  const { store, keys } = await open(context)
  return {
    async run(n) {
      for (let i = 0; i < n; i++) await keys.get('app-state-sync-version', ['critical_block'])
    },
    close: () => store.close()
  }
}
