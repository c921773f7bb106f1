/** In which order the versions of each record came: `successors` of each version, as far as that can be told. */
import { makesNoClaim, shown, INITIAL } from './nodes.mjs'
import { realTimeFollowers } from './realtime.mjs'

class VersionOrder {
  #successors = new Map()

  add(version, next) {
    if (version === next) return
    if (!this.#successors.has(version)) this.#successors.set(version, new Set())
    this.#successors.get(version).add(next)
  }

  versions() {
    return this.#successors.keys()
  }

  successors(version) {
    return this.#successors.get(version) ?? []
  }

  /** A version that comes before itself, if there is one. */
  circle() {
    const state = new Map()
    const visit = version => {
      state.set(version, 'open')
      for (const next of this.successors(version)) {
        if (state.get(next) === 'open') return next
        const found = state.has(next) ? undefined : visit(next)
        if (found !== undefined) return found
      }
      state.set(version, 'done')
      return undefined
    }
    for (const version of this.versions()) {
      const found = state.has(version) ? undefined : visit(version)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** Between an independent child and what is around it nothing is claimed. */
const someAreComparable = (forest, nodes) => nodes.some((one, i) => nodes.slice(i + 1).some(other => !forest.areRelated(one, other)))

/** A list says itself what came before each of its versions. */
function orderOfList(record, operations, forest, anomalies) {
  const order = new VersionOrder()
  const bases = new Map()
  for (const { kind, value } of operations) {
    value.forEach((version, i) => order.add(value[i - 1] ?? INITIAL, version))
    if (kind === 'write') bases.set(shown(value), value.at(-2) ?? INITIAL)
  }
  for (const version of order.versions()) {
    const branches = [...order.successors(version)]
    if (branches.length < 2) continue
    const writers = branches.filter(branch => bases.get(branch) === version).map(branch => forest.writes.get(branch).level)
    if (writers.length > 1 && !someAreComparable(forest, writers.map(level => forest.nodeOf(level)))) continue
    const ids = writers.map(({ id }) => id)
    anomalies.push(ids.length > 1
      ? { name: 'lost update', transactions: ids, record, message: `${ids.join(' and ')} appended to ${record} as ${version} had left it` }
      : { name: 'incompatible order', transactions: [], record, message: `after ${version} in ${record} came ${branches.join(' in one value, and in another ')}` })
  }
  return order
}

/**
 * Of a register it is known that a version which was read and then replaced by the same transaction came before, and
 * what was seen or written before another was seen or written.
 */
function orderOfRegister(record, nodes, forest, realTime, anomalies) {
  const certain = new VersionOrder()
  const timed = new VersionOrder()
  const add = (version, next) => {
    certain.add(version, next)
    timed.add(version, next)
  }
  const sights = []
  for (const node of nodes) {
    const final = node.finals.get(record)
    if (final) {
      add(INITIAL, final)
      const last = node.operations.findLast(({ kind, record: of }) => kind === 'write' && of === record)
      sights.push({ version: final, begin: last.begin, end: Math.max(last.end, node.end) })
    }
    const seen = new Set()
    for (const { record: of, value, begin, end } of forest.outerReads(node)) {
      const version = shown(value)
      if (of !== record || seen.has(version)) continue
      seen.add(version)
      // The first time: after that a store may answer from what it remembers for this transaction.
      sights.push({ version, begin, end })
      // What was read with no lock may be far behind when the write comes.
      if (final && !makesNoClaim(node.root)) add(version, final)
    }
  }
  if (!realTime) return certain
  for (const [{ version }, followers] of realTimeFollowers(sights)) for (const follower of followers) timed.add(version, follower.version)
  const circle = timed.circle()
  if (circle === undefined) return timed
  const transactions = sights.filter(({ version }) => version === circle).map(({ version }) => forest.writes.get(version)?.level.id).filter(Boolean)
  anomalies.push({ name: 'strict serializability', transactions: [...new Set(transactions)], record, message: `${record} showed ${circle} again, or only, after a later version` })
  return certain
}

/** @returns {Map<string, VersionOrder>} by record */
export function versionOrders(forest, kinds, { realTime }, anomalies) {
  const operations = new Map()
  const nodes = new Map()
  for (const node of forest.committed) {
    for (const operation of node.operations) {
      if (!operations.has(operation.record)) operations.set(operation.record, [])
      operations.get(operation.record).push(operation)
      if (!nodes.has(operation.record)) nodes.set(operation.record, new Set())
      nodes.get(operation.record).add(node)
    }
  }
  return new Map([...operations].map(([record, all]) => [record, kinds[record] === 'list'
    ? orderOfList(record, all, forest, anomalies)
    : orderOfRegister(record, nodes.get(record), forest, realTime, anomalies)]))
}
