// What a process that is killed again and again writes, and what may be there afterwards. Everything a step writes follows from its lane
// and its number, so the process and the test that kills it agree without a word. See kill-main.mjs and kill.spec.mjs.
import { isDeepStrictEqual } from 'node:util'
import { contents } from './casks.mjs'

/** Threads of the process; each has lanes of its own, which take one step after the other. */
export const THREADS = 3
const HOT_LANES = 4
/** The account that the lanes of all threads share; the others belong to one lane each. */
const COMMON = 'common'
/** Counts the steps of the `count` lanes of all threads. */
const TOTAL = { account: COMMON, family: 'other', id: 'total' }
const keyOf = (account, family, id) => JSON.stringify([account, family, id])
const TOTAL_KEY = keyOf(TOTAL.account, TOTAL.family, TOTAL.id)

const mix = (text, n) => {
  let hash = 2166136261 ^ Math.imul(n, 0x9e3779b1)
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  return (hash ^ (hash >>> 15)) >>> 0
}

const SIZES = [10, 200, 2000, 9000]
/** Sixty of them are several MB: a segment that holds them is not a small one, which is compacted together with its neighbours. */
const COLD_BYTES = 100_000
const HOT_SIZES = [2000, 12_000, 20_000, 40_000]
const padOf = (id, n) => {
  const dice = mix(id, n)
  if (id.startsWith('cold')) return Buffer.alloc(COLD_BYTES, n)
  if (!id.startsWith('hot')) return Buffer.alloc(SIZES[dice % SIZES.length], n)
  // One in a hundred goes through the queue of the log, being larger than what is written on the calling thread.
  return Buffer.alloc(dice % 100 === 0 ? 1_200_000 : HOT_SIZES[dice % HOT_SIZES.length], n)
}

/** The value that step `n` gives a record; `family` is undefined for creds. */
const valueOf = (family, id, n) => {
  switch (family) {
    case 'other': return n
    case 'lid-mapping': return `${id}=${n}`
    case 'sender-key': return Buffer.concat([Buffer.from(`${n} `), padOf(id, n)])
    case undefined: return { n, key: padOf(id, n) }
    default: return { n, pad: padOf(id, n) }
  }
}

/** The step that has written a value; not a number where none has. */
const stepIn = (family, value) => {
  switch (family) {
    case 'other': return value
    case 'lid-mapping': return Number(String(value).split('=')[1])
    case 'sender-key': return parseInt(value.subarray(0, 16).toString('latin1'))
    default: return value?.n
  }
}

/**
 * What a step is, by the kind of its lane: the `account`, `how` it is done, the records that it `puts` and `deletes` as pairs of family and id,
 * and whether it writes `creds`, or first `clears` or `drops` the account.
 */
const KINDS = {
  // One batch over several families, with creations and deletes.
  set: (lane, n) => ({
    account: COMMON, how: 'set',
    puts: [['session', `${lane}/a`], ['session', `${lane}/${n % 7}`], ['sender-key', `${lane}/b`], ['pre-key', `${lane}/c`]],
    deletes: [['session', `${lane}/${(n + 3) % 7}`]],
  }),
  // Many small records that come and go.
  small: (lane, n) => ({
    account: COMMON, how: 'set',
    puts: Array.from({ length: 12 }, (_, i) => ['lid-mapping', `${lane}/${(n * 12 + i) % 240}`]),
    deletes: Array.from({ length: 10 }, (_, i) => ['lid-mapping', `${lane}/${(n * 12 + 120 + i) % 240}`]),
  }),
  // One commit: written in pieces, with an inner transaction that ends well and one that fails. Every fourth one is rolled back as a whole.
  commit: (lane, n) => (n % 4 === 0
    ? { account: COMMON, how: 'undone', puts: [], deletes: [] }
    : {
        account: COMMON, how: 'commit',
        puts: [['session', `${lane}/a`], ['device-list', `${lane}/b`], ['tctoken', `${lane}/${n % 5}`]], deletes: [['tctoken', `${lane}/${(n + 2) % 5}`]],
      }),
  // Read, changed and written by the transactions of all threads.
  count: lane => ({ account: COMMON, how: 'count', puts: [['other', `${lane}/mine`]], deletes: [] }),
  creds: (_, n) => ({ account: COMMON, how: n % 3 === 0 ? 'commit' : 'saveCreds', puts: [], deletes: [], creds: true }),
  // An account that is cleared, by itself and within transactions.
  clear: (lane, n) => {
    const step = { account: `own-${lane}`, how: n % 5 === 3 ? 'commit' : 'set', puts: [['session', `${lane}/${n % 4}`], ['identity-key', `${lane}/${n % 3}`]], deletes: [] }
    if (n % 5 === 4) return { ...step, how: 'clear', puts: [], clears: true }
    if (n % 5 === 1) return { ...step, how: 'commit', creds: true }
    return { ...step, clears: n % 10 === 3 }
  },
  // Accounts that come and go.
  guest: (lane, n) => {
    const step = { account: `own-${lane}-${Math.floor(n / 5) % 3}`, how: 'set', puts: [['session', `${lane}/${n % 4}`], ['sender-key-memory', `${lane}/x`]], deletes: [] }
    if (n % 5 === 0) return { ...step, how: 'saveCreds', puts: [], creds: true }
    if (n % 5 === 4) return { ...step, how: 'drop', puts: [], drops: true }
    return n % 5 === 2 ? { ...step, how: 'commit' } : step
  },
  // Overwritten with large values: segments fill up, and nearly all of what is in them is dead.
  hot: lane => ({ account: COMMON, how: 'set', puts: [['session', lane]], deletes: [] }),
  // Large records that stay, and few of them are deleted much later: what holds them is not compacted together with what deletes them.
  cold: (lane, n) => {
    const step = { account: COMMON, how: 'set', puts: [['other', `${lane}/step`]], deletes: [] }
    const at = n % 120
    if (at < 30) return { ...step, puts: [...step.puts, ['session', `${lane}/${2 * at}`], ['session', `${lane}/${2 * at + 1}`]] }
    return at % 6 === 0 ? { ...step, deletes: [['session', `${lane}/${(at * 7) % 60}`]] } : step
  },
  // The same with accounts of large records that are cleared or dropped much later.
  leaving: (lane, n) => {
    const step = { account: `own-${lane}`, how: 'set', puts: [['other', `${lane}/step`]], deletes: [] }
    const at = n % 60
    if (at < 10) return { ...step, puts: [...step.puts, ['session', `${lane}/${at}`]] }
    if (at === 40) return n % 120 === 40 ? { ...step, how: 'clear', puts: [], clears: true } : { ...step, how: 'drop', puts: [], drops: true }
    return step
  },
  flush: () => ({ account: COMMON, how: 'flush', puts: [], deletes: [] }),
}

const kindOf = lane => lane.split('-')[0]
const stepOf = (lane, n) => KINDS[kindOf(lane)](lane, n)

/** The lanes of one thread. */
export const lanesOf = thread => [
  ...['set', 'small', 'commit', 'count', 'clear', 'guest', 'leaving'].map(kind => `${kind}-${thread}`),
  ...Array.from({ length: HOT_LANES }, (_, i) => `hot-${thread}-${i}`),
  ...(thread === 0 ? ['creds-0', 'cold-0'] : [`flush-${thread}`]),
]
export const LANES = Array.from({ length: THREADS }, (_, thread) => lanesOf(thread)).flat()

/** Bytes that a step writes, roughly. */
export const bytesOf = (lane, n) => (kindOf(lane) === 'hot' ? padOf(lane, n).length : 0)

// ---- what a process does ---------------------------------------------------------------------------------------

const dataOf = (n, puts, deletes) => {
  const data = {}
  for (const [family, id] of deletes) (data[family] ??= {})[id] = null
  for (const [family, id] of puts) (data[family] ??= {})[id] = valueOf(family, id, n)
  return data
}

const failing = work => work().then(() => { throw new Error('what was to fail has not') }, error => { if (error.message !== 'undone') throw error })

const HOW = {
  set: ({ keys }, { puts, deletes }, n) => keys.set(dataOf(n, puts, deletes)),
  clear: ({ keys }) => keys.clear(),
  drop: account => account.drop(),
  saveCreds: (account, _, n) => account.saveCreds(valueOf(undefined, account.name, n)),
  flush: (_account, _step, _n, _lane, cask) => cask.flush(),
  undone: ({ keys }, step, n, lane) => failing(() => keys.transaction(async tx => {
    await tx.set({ session: { [`${lane}/a`]: { n: -1 }, [`${lane}/undone`]: { n: -1 } } })
    throw new Error('undone')
  }, lane)),
  commit: ({ keys, name }, { puts, deletes, creds, clears }, n, lane) => keys.transaction(async tx => {
    if (clears) await tx.clear()
    await tx.set(dataOf(n, puts.slice(0, 1), deletes))
    await keys.transaction(() => keys.set(dataOf(n, puts.slice(1), [])), `${lane} inner`)
    await failing(() => keys.transaction(async inner => {
      await inner.set({ session: { [`${lane}/a`]: { n: -1 }, [`${lane}/undone`]: { n: -1 } } })
      throw new Error('undone')
    }, `${lane} inner`))
    if (creds) await tx.setCreds(valueOf(undefined, name, n))
  }, lane),
  count: ({ keys }, { puts: [[, mine]] }, n) => keys.transaction(async tx => {
    const { total = 0, [mine]: before = 0 } = await tx.get('other', ['total', mine])
    if (before !== n - 1) throw new Error(`step ${n} of ${mine} finds ${before}`)
    await tx.set({ other: { total: total + 1, [mine]: n } })
  }, 'count'),
}

/** Does one step. */
export const perform = (cask, lane, n) => {
  const step = stepOf(lane, n)
  return HOW[step.how](cask.account(step.account), step, n, lane, cask)
}

// ---- what may be there ------------------------------------------------------------------------------------------

/** A lane after some steps: their number and, by key, the step that has written what is there. Plain data. */
export const nothing = () => ({ n: 0, written: {} })

const after = (lane, { n, written }) => {
  const step = stepOf(lane, n + 1)
  const next = { ...written }
  if (step.clears || step.drops) {
    for (const key in next) {
      const [account, family] = JSON.parse(key)
      if (account === step.account && (step.drops || family !== null)) delete next[key]
    }
  }
  for (const [family, id] of step.deletes) delete next[keyOf(step.account, family, id)]
  for (const [family, id] of step.puts) next[keyOf(step.account, family, id)] = n + 1
  if (step.creds) next[keyOf(step.account, null, '')] = n + 1
  return { n: n + 1, written: next }
}

const OWNER = new RegExp(`^(?:own-)?(${[...LANES].sort((a, b) => b.length - a.length).join('|')})(?:$|[/-])`)
const laneOf = (account, id) => (account === COMMON ? (id === '' ? 'creds-0' : OWNER.exec(id)?.[1]) : OWNER.exec(account)?.[1])

/** All that a cask holds, by lane and key; fails where a value is not what a step has written. */
export async function writtenIn(cask) {
  const written = Object.fromEntries(LANES.map(lane => [lane, {}]))
  let total = 0
  const note = (account, family, id, value) => {
    if (keyOf(account, family, id) === TOTAL_KEY) return void (total = value)
    const lane = laneOf(account, id)
    const n = stepIn(family ?? undefined, value)
    if (!lane || !isDeepStrictEqual(value, valueOf(family ?? undefined, family ? id : account, n))) {
      throw new Error(`${account} ${family} ${id} is there as nobody has written it (step ${n})`)
    }
    written[lane][keyOf(account, family, id)] = n
  }
  for (const [account, { creds, records }] of Object.entries(await contents(cask))) {
    if (account === 'parent') continue
    if (creds) note(account, null, '', creds)
    for (const [family, list] of Object.entries(records)) for (const [id, value] of list) note(account, family, id, value)
  }
  return { written, total }
}

/**
 * How far each lane has come, given how far it was once (`base`) and the steps that may be there: at least `least`, at most `most`. Fails where
 * what is there is not what so many steps leave behind, neither more nor less.
 */
export async function progressOf(cask, bounds) {
  const { written, total } = await writtenIn(cask)
  const found = {}
  for (const lane of LANES) {
    const { base, least, most } = bounds[lane]
    let state = base
    while (state.n < least) state = after(lane, state)
    const tried = []
    while (!isDeepStrictEqual(state.written, written[lane])) {
      tried.push(state.written)
      if (state.n >= most) {
        const shown = JSON.stringify({ found: written[lane], tried: tried.slice(-3) })
        throw new Error(`${lane}: what is there is not what ${least} (acknowledged) to ${most} (begun) steps leave behind: ${shown}`)
      }
      state = after(lane, state)
    }
    found[lane] = state
  }
  const counted = LANES.filter(lane => kindOf(lane) === 'count').reduce((sum, lane) => sum + found[lane].n, 0)
  if (total !== counted) throw new Error(`the threads have counted to ${counted} in all, and ${total} is there`)
  return found
}
