import { preKeys } from './data.mjs'

/** What Baileys uploads at once: its INITIAL_PREKEY_COUNT. */
export const UPLOAD = 812
const UPLOADS = 8

const open = async ({ openStore, same }) => {
  const store = await openStore()
  const keys = await store.account()
  const uploads = Array.from({ length: UPLOADS }, (_, i) => preKeys(1 + i * UPLOAD, UPLOAD))
  await keys.set({ 'pre-key': uploads[0] })
  const ids = Object.keys(uploads[0])
  same(await keys.get('pre-key', ids), uploads[0])
  return { store, keys, uploads, ids }
}

const withValuesOf = (upload, other) => {
  const values = Object.values(other)
  return Object.fromEntries(Object.keys(upload).map((id, i) => [id, values[i]]))
}

export const preKeySetLane = async context => {
  const { store, keys, uploads } = await open(context)
  // Every id has two values that take turns: SQLite writes nothing at all where a row is replaced by an equal one.
  const turns = [...uploads, ...uploads.map((upload, i) => withValuesOf(upload, uploads[(i + 1) % UPLOADS]))]
  let next = 0
  return {
    opsPerRun: UPLOAD,
    async run(n) {
      for (let i = 0; i < n; i++) await keys.set({ 'pre-key': turns[next++ % turns.length] })
    },
    close: () => store.close()
  }
}

export const preKeyGetLane = async context => {
  const { store, keys, ids } = await open(context)
  return {
    opsPerRun: UPLOAD,
    async run(n) {
      for (let i = 0; i < n; i++) await keys.get('pre-key', ids)
    },
    close: () => store.close()
  }
}
