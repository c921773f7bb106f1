import { senderKey, sessionIds, sessions } from './data.mjs'

/** Sessions in the store: an account with some thousand contacts, not a store that fits into a page or two. */
const STORED = 5_000
/** Those of them that are read, spread over the store. A power of two. */
const HOT = 64
const FILL_BATCH = 250
const IN_FLIGHT = 64
/** Of the rows with sender keys. */
const SENDER_KEYS = 1_024

/** Fills `keys` with `count` sessions as an account gathers them over time, in the order of their ids. */
export const fillWithSessions = async (keys, count) => {
  const values = await sessions()
  const ids = sessionIds(count)
  for (let first = 0; first < count; first += FILL_BATCH) {
    const batch = ids.slice(first, first + FILL_BATCH).map((id, i) => [id, values[(first + i) % values.length]])
    await keys.set({ session: Object.fromEntries(batch) })
  }
  return { ids, values }
}

const openWithSessions = async ({ openStore, same, quick }) => {
  const store = await openStore()
  const keys = await store.account()
  const count = quick ? STORED / 10 : STORED
  const { ids, values } = await fillWithSessions(keys, count)
  const spread = Array.from({ length: HOT }, (_, i) => Math.floor(i * count / HOT))
  const hot = spread.map(at => ids[at])
  same(await keys.get('session', hot), Object.fromEntries(spread.map(at => [ids[at], values[at % values.length]])))
  return { store, keys, ids, values, hot }
}

/** A lane that reads `count` sessions a call, another group each time. */
export const readLane = count => async context => {
  const { store, keys, hot } = await openWithSessions(context)
  const groups = hot.map((_, i) => Array.from({ length: count }, (_, k) => hot[(i + k) % HOT]))
  return {
    async run(n) {
      for (let i = 0; i < n; i++) await keys.get('session', groups[i % HOT])
    },
    close: () => store.close()
  }
}

/**
 * Goes through the store in an order that looks random and gives each record another value than it has, as a ratchet does:
 * SQLite writes nothing at all where a row is replaced by an equal one.
 */
const makeWrites = ({ ids, values }) => {
  const turns = new Uint32Array(ids.length)
  const stride = 7919 // a prime, so that every record gets its turn
  let at = 0
  return () => {
    at = (at + stride) % ids.length
    return { session: { [ids[at]]: values[(at + ++turns[at]) % values.length] } }
  }
}

/** A lane that writes one session a call and waits for it. */
export const writeLane = async context => {
  const opened = await openWithSessions(context)
  const nextWrite = makeWrites(opened)
  return {
    async run(n) {
      for (let i = 0; i < n; i++) await opened.keys.set(nextWrite())
    },
    close: () => opened.store.close()
  }
}

/** A lane of `inFlight` loops that take their writes from one source, each waiting for its own. */
const inFlightLane = ({ store, keys }, nextWrite, inFlight) => {
  const writer = async count => {
    for (let i = 0; i < count; i++) await keys.set(nextWrite())
  }
  return {
    step: inFlight,
    async run(n) {
      await Promise.all(Array.from({ length: inFlight }, () => writer(n / inFlight)))
    },
    close: () => store.close()
  }
}

/** The same with 64 calls under way at all times. */
export const writeInFlightLane = async context => {
  const opened = await openWithSessions(context)
  return inFlightLane(opened, makeWrites(opened), IN_FLIGHT)
}

/** Sets of one sender key, 2 KB of bytes that cost next to nothing to encode, with so many calls under way at all times. */
export const writeBuffersLane = inFlight => async ({ openStore, same }) => {
  const store = await openStore()
  const keys = await store.account()
  const ids = Array.from({ length: SENDER_KEYS }, (_, i) => `12036304${i}@g.us::1000${i}::0`)
  const values = ids.map((_, i) => senderKey(i))
  let at = 0
  // As many ids as values, and another value each time round.
  const nextWrite = () => {
    const n = at++
    return { 'sender-key': { [ids[n % SENDER_KEYS]]: values[(n + Math.floor(n / SENDER_KEYS)) % SENDER_KEYS] } }
  }
  for (let i = 0; i < SENDER_KEYS; i += FILL_BATCH) {
    await keys.set({ 'sender-key': Object.fromEntries(ids.slice(i, i + FILL_BATCH).map((id, k) => [id, values[(i + k + 1) % SENDER_KEYS]])) })
  }
  await keys.set(nextWrite())
  same(await keys.get('sender-key', [ids[0]]), { [ids[0]]: values[0] })
  return inFlightLane({ store, keys }, nextWrite, inFlight)
}
