import { SESSIONS, sessions } from './data.mjs'
import { fillWithSessions } from './session-rows.mjs'

const ONE = ['peer']
/** A prime: with it every label gets its turn, in an order that looks random, and none is near the one before. */
const STRIDE = 919

/**
 * Transactions that read one session and write its next value, each under the next of the labels; one label for each of `ids`.
 * `check` fails where an update was lost.
 */
export const makeTransactions = async (keys, ids, same) => {
  const values = await sessions()
  const labels = ids.map(id => `${id}@lid`)
  const turns = new Uint32Array(ids.length)
  const valueOf = at => values[(at + turns[at]) % SESSIONS]
  let next = 0
  const transact = () => {
    const at = next = (next + STRIDE) % ids.length
    const id = ids[at]
    return keys.transaction(async () => {
      const found = await keys.get('session', [id])
      if (!found[id]) throw new Error('the session is gone')
      turns[at]++
      await keys.set({ session: { [id]: valueOf(at) } })
    }, labels[at])
  }
  const check = async () => {
    same(await keys.get('session', ids), Object.fromEntries(ids.map((id, at) => [id, valueOf(at)])))
  }
  return { transact, check }
}

/** A lane of such transactions over `labels` records, `inFlight` of them under way at all times. */
export const transactionLane = ({ labels = 1, inFlight = 1 } = {}) => async ({ openStore, same }) => {
  const store = await openStore()
  const account = await store.account()
  const keys = store.transactional(account)
  if (labels === 1) await account.set({ session: { [ONE[0]]: (await sessions())[0] } })
  const ids = labels === 1 ? ONE : (await fillWithSessions(account, labels)).ids
  const { transact, check } = await makeTransactions(keys, ids, same)
  await transact()
  await check()
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
