/**
 * Who has to come before whom:
 *   ww  the one wrote a version, the other the next
 *   wr  the one wrote a version, the other read it
 *   rw  the one read a version, the other wrote the next
 *   rt  the one was over before the other began
 */
import { shown } from './nodes.mjs'
import { realTimeFollowers } from './realtime.mjs'

/**
 * @typedef {{ from: object, to: object, type: 'ww' | 'wr' | 'rw' | 'rt', record?: string, version?: string, next?: string }} Edge
 */
export class Graph {
  #edges = new Map()

  /** One edge of each type between two nodes is enough to find a circle. */
  add(edge) {
    const { from, to, type } = edge
    if (!this.#edges.has(from)) this.#edges.set(from, new Map())
    const targets = this.#edges.get(from)
    if (!targets.has(to)) targets.set(to, new Map())
    if (!targets.get(to).has(type)) targets.get(to).set(type, [])
    targets.get(to).get(type).push(edge)
  }

  * edgesFrom(node, types) {
    for (const byType of this.#edges.get(node)?.values() ?? []) {
      for (const type of types) if (byType.has(type)) yield byType.get(type)[0]
    }
  }

  between(from, to, type) {
    return this.#edges.get(from)?.get(to)?.get(type) ?? []
  }

  nodes() {
    return this.#edges.keys()
  }
}

/**
 * @param {object} sides what stands for a transaction: `nodes` with `reads` of what others wrote and `writes`;
 *   `nodeOf(version)`, who wrote it, if it is one of them; `comparable(a, b)`, whether anything is claimed between the two
 * @param {Map<string, { versions(): Iterable<string>, successors(version: string): Iterable<string> }>} orders
 */
export function makeGraph({ nodes, nodeOf, comparable }, orders, { realTime }) {
  const graph = new Graph()
  const join = (from, to, edge) => {
    if (from && to && from !== to && comparable(from, to)) graph.add({ from, to, ...edge })
  }
  for (const [record, order] of orders) {
    for (const version of order.versions()) {
      for (const next of order.successors(version)) join(nodeOf(version), nodeOf(next), { type: 'ww', record, version, next })
    }
  }
  for (const node of nodes) {
    for (const { record, value } of node.reads) {
      const version = shown(value)
      join(nodeOf(version), node, { type: 'wr', record, version })
      for (const next of nextOfOthers(node, version, orders.get(record), nodeOf, comparable)) join(node, nodeOf(next), { type: 'rw', record, version, next })
    }
  }
  if (realTime) {
    for (const [node, followers] of realTimeFollowers(nodes)) for (const follower of followers) join(node, follower, { type: 'rt' })
  }
  return graph
}

/** The next versions by somebody to compare with: those of the reader itself and of its kin are passed over. */
function nextOfOthers(node, version, order, nodeOf, comparable, found = new Set(), passed = new Set()) {
  for (const next of order?.successors(version) ?? []) {
    const writer = nodeOf(next)
    if (writer && writer !== node && comparable(writer, node)) found.add(next)
    else if (!passed.has(next)) nextOfOthers(node, next, order, nodeOf, comparable, found, passed.add(next))
  }
  return found
}
