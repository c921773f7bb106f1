import { baseKeyOf, sessionIds, sessionStates, withBaseKey } from './data.mjs'

/** A prime: with it every label gets its turn, in an order that looks random, and none is near the one before. */
const STRIDE = 919
const FILL_BATCH = 250

/**
 * Transactions that read one session and write the next state of it, each under the next of the labels; one label for each of `ids`, whose
 * sessions are put there first. `check` fails where an update was lost. `others` is how many records of the kind there are already.
 */
export const makeTransactions = async (keys, ids, same, others = 0) => {
  const states = await sessionStates()
  const baseKeys = ids.map((_, at) => baseKeyOf(others + at))
  const labels = ids.map(id => `${id}@lid`)
  const turns = new Uint32Array(ids.length)
  const stateOf = at => {
    const ofSession = states[(others + at) % states.length]
    return withBaseKey(ofSession[turns[at] % ofSession.length], baseKeys[at])
  }
  for (let first = 0; first < ids.length; first += FILL_BATCH) {
    const batch = ids.slice(first, first + FILL_BATCH).map((id, i) => [id, stateOf(first + i)])
    await keys.set({ session: Object.fromEntries(batch) })
  }
  let next = 0
  const transact = () => {
    const at = next = (next + STRIDE) % ids.length
    const id = ids[at]
    return keys.transaction(async () => {
      const found = await keys.get('session', [id])
      if (!found[id]) throw new Error('the session is gone')
      turns[at]++
      await keys.set({ session: { [id]: stateOf(at) } })
    }, labels[at])
  }
  const check = async () => {
    same(await keys.get('session', ids), Object.fromEntries(ids.map((id, at) => [id, stateOf(at)])))
  }
  await transact()
  await check()
  return { transact, check }
}

/** A lane of such transactions over `labels` records, `inFlight` of them under way at all times. */
export const transactionLane = ({ labels = 1, inFlight = 1 } = {}) => async ({ openStore, same }) => {
  const store = await openStore()
  const keys = store.transactional(await store.account())
  const { transact, check } = await makeTransactions(keys, sessionIds(labels), same)
  const loop = async count => {
    for (let i = 0; i < count; i++) await transact()
  }
  return {
    step: inFlight,
    async run(n) {
      if (inFlight === 1) return loop(n)
      await Promise.all(Array.from({ length: inFlight }, () => loop(n / inFlight)))
    },
    facts: check,
    close: () => store.close()
  }
}
