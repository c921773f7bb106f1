/** Histories of transactions that took effect one after another, and small lies about them. */
import { Random } from './random.mjs'

const LISTS = ['x', 'y', 'z']
const REGISTERS = ['r', 's']
const KINDS = Object.fromEntries([...LISTS.map(record => [record, 'list']), ...REGISTERS.map(record => [record, 'register'])])

/**
 * @param {number} seed
 * @param {{ count?: number, overlap?: number }} [options] `overlap`: by how much begins and ends may lie apart from the one
 *   instant at which a transaction takes effect; 0 leaves gaps between them
 */
export function serialHistory(seed, { count = 40, overlap = 0 } = {}) {
  const random = new Random(seed)
  const state = new Map([...LISTS, ...REGISTERS].map(record => [record, []]))
  const transactions = Array.from({ length: count }, (_, i) => {
    // Twelve instants for each transaction: all that it does is between the third and the tenth.
    const at = 1000 + i * 12
    const status = random.weighted({ committed: 8, aborted: 2 })
    const staged = new Map()
    const operations = []
    const steps = random.between(1, 5)
    for (let step = 0; step < steps; step++) {
      const record = random.pick([...state.keys()])
      const now = staged.get(record) ?? state.get(record)
      const instant = { record, begin: at + 3 + step, end: at + 3 + step + 0.5 }
      const reads = random.chance(0.6)
      if (reads || KINDS[record] === 'list') operations.push({ kind: 'read', value: now, ...instant })
      if (reads && random.chance(0.5)) continue
      const version = `${i}.${step}`
      const value = KINDS[record] === 'list' ? [...now, version] : [version]
      operations.push({ kind: 'write', value, ...instant, begin: instant.end, end: instant.end + 0.1 })
      staged.set(record, value)
    }
    if (status === 'committed') for (const [record, value] of staged) state.set(record, value)
    return { id: `T${i}`, status, begin: at - random.below(overlap + 1), ready: at + 9, end: at + 10 + random.below(overlap + 1), operations }
  })
  const end = 1000 + count * 12 + overlap
  const final = [...state].map(([record, value]) => ({ kind: 'read', record, value, begin: end + 1, end: end + 2 }))
  transactions.push({ id: 'final', status: 'committed', begin: end, ready: end + 3, end: end + 4, operations: final })
  return { kinds: KINDS, transactions }
}

/** The same history, with one read of a committed transaction changed to what the record was at another time; none if that cannot be. */
export function withOneReadSwapped(history, seed) {
  const random = new Random(seed)
  const copy = structuredClone(history)
  const reads = copy.transactions.filter(({ status }) => status === 'committed').flatMap(({ operations }) => operations.filter(({ kind }) => kind === 'read'))
  for (const read of random.some(reads, reads.length)) {
    const values = copy.transactions.flatMap(({ operations }) => operations).filter(({ record }) => record === read.record).map(({ value }) => value)
    const others = [[], ...values].filter(value => value.at(-1) !== read.value.at(-1))
    if (others.length === 0) continue
    read.value = random.pick(others)
    return copy
  }
  return undefined
}
