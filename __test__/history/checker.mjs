/**
 * Decides whether a recorded history can be explained by transactions that ran one after another, in the manner of Elle
 * (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB 2020), with the names of
 * Adya, "Weak Consistency", 1999.
 */
import { makeForest, makesNoClaim } from './nodes.mjs'
import { checkReads, checkOwnReads } from './reads.mjs'
import { versionOrders } from './order.mjs'
import { makeGraph } from './graph.mjs'
import { circularParts, shortestCircle } from './cycles.mjs'

/** What a circle is called: by the edge it begins with and those it may go back over. Worse ones first. */
const CIRCLES = [
  { name: 'G0', first: 'ww', back: ['ww'] },
  { name: 'G1c', first: 'wr', back: ['ww', 'wr'] },
  { name: 'G-single', first: 'rw', back: ['ww', 'wr'] },
  { name: 'G2', first: 'rw', back: ['ww', 'wr', 'rw'] },
]

const pairOf = (a, b) => JSON.stringify([a.id, b.id].sort())

function describeEdge({ from, to, type, record, version, next }) {
  const why = {
    ww: () => `wrote ${version} to ${record}, replaced by ${next} of`,
    wr: () => `wrote ${version} to ${record}, read by`,
    rw: () => `read ${version} from ${record}, replaced by ${next} of`,
    rt: () => 'was over before the begin of',
  }[type]()
  return `${from.id} ${why} ${to.id}`
}

/** Two that read one version of a record and both replaced it: one of the two is lost. */
function lostUpdates({ nodes, comparable }, pairs) {
  const anomalies = []
  const readers = new Map()
  for (const node of nodes) {
    for (const { record, value } of node.reads) {
      if (!node.writes.has(record)) continue
      const key = JSON.stringify([record, value.at(-1) ?? null])
      if (!readers.has(key)) readers.set(key, new Set())
      readers.get(key).add(node)
    }
  }
  for (const [key, group] of readers) {
    const [record, version] = JSON.parse(key)
    const all = [...group]
    const clashes = all.flatMap((one, i) => all.slice(i + 1).filter(other => comparable(one, other)).map(other => [one, other]))
    if (clashes.length === 0) continue
    for (const [one, other] of clashes) pairs.add(pairOf(one, other))
    const ids = [...new Set(clashes.flat())].map(({ id }) => id)
    anomalies.push({ name: 'lost update', transactions: ids, record, message: `${ids.join(' and ')} read ${record} at ${version ?? 'its begin'} and replaced it` })
  }
  return anomalies
}

/** One that saw some of what another wrote and missed the rest. */
function fracturedReads({ nodes }, graph, pairs) {
  const anomalies = []
  for (const reader of nodes) {
    for (const { to: writer } of graph.edgesFrom(reader, ['rw'])) {
      const seen = graph.between(writer, reader, 'wr')
      for (const missed of graph.between(reader, writer, 'rw')) {
        const part = seen.find(({ record }) => record !== missed.record)
        if (!part) continue
        pairs.add(pairOf(reader, writer))
        anomalies.push({ name: 'fractured read', transactions: [reader.id, writer.id], record: missed.record, message: `${describeEdge(part)}; ${describeEdge(missed)}` })
        break
      }
    }
  }
  return anomalies
}

function circles(graph, { realTime }, pairs) {
  const anomalies = []
  const known = circle => circle.length === 2 && pairs.has(pairOf(circle[0].from, circle[0].to))
  const search = (name, first, back, part) => {
    const circle = shortestCircle(graph, part, first, back, circle => !known(circle))
    if (circle) anomalies.push({ name, transactions: circle.map(({ from }) => from.id), circle, message: circle.map(describeEdge).join('; ') })
    return circle !== undefined
  }
  for (const part of circularParts(graph, ['ww', 'wr', 'rw'])) {
    for (const { name, first, back } of CIRCLES) if (search(name, first, back, part) && first === 'rw') break
  }
  if (!realTime) return anomalies
  // A circle that needs real time: whatever it is called, its transactions took effect at another time than they ran.
  const untimed = circularParts(graph, ['ww', 'wr', 'rw'])
  for (const part of circularParts(graph, ['ww', 'wr', 'rw', 'rt'])) {
    if (untimed.some(other => [...other].every(node => part.has(node)))) continue
    search('strict serializability', 'rt', ['ww', 'wr', 'rt'], part) || search('strict serializability', 'rt', ['ww', 'wr', 'rw', 'rt'], part)
  }
  return anomalies
}

/** What is compared at the top: everything that committed, and what the rest has read. */
function topLevel(forest) {
  const committed = forest.committed.map(node => ({
    ...node,
    reads: makesNoClaim(node.root) ? [] : forest.outerReads(node),
    writes: new Set(node.finals.keys()),
  }))
  // What fails has read under locks too, up to its end.
  const failed = forest.failed.filter(({ root }) => !makesNoClaim(forest.rootOf(root))).map(node => ({ ...node, writes: new Set() }))
  const nodes = [...committed, ...failed]
  const byId = new Map(nodes.map(node => [node.id, node]))
  return { nodes, nodeOf: version => byId.get(forest.writerOf(version)?.id), comparable: (a, b) => !forest.areRelated(a, b) }
}

/** What is compared inside of one level: the transactions that joined it. */
function insideOf(forest, level, children) {
  const nodes = children.map(child => ({ id: child.id, begin: child.begin, end: child.end, operations: [], writes: new Set() }))
  const byId = new Map(nodes.map(node => [node.id, node]))
  const sideOf = inner => {
    for (let at = inner; at !== level; at = forest.parentOf(at)) if (at === undefined) return undefined; else if (byId.has(at.id)) return byId.get(at.id)
    return undefined
  }
  const nodeOf = version => {
    const node = forest.writerOf(version)
    return node === forest.nodeOf(level) ? sideOf(forest.writes.get(version).level) : undefined
  }
  for (const operation of forest.nodeOf(level).operations) {
    const node = sideOf(operation.level)
    node?.operations.push(operation)
    if (operation.kind === 'write') node?.writes.add(operation.record)
  }
  for (const node of nodes) node.reads = node.operations.filter(({ kind, value }) => kind === 'read' && nodeOf(value.at(-1)) !== node)
  return { nodes, nodeOf, comparable: () => true }
}

function siblings(forest) {
  const groups = new Map()
  for (const level of forest.levels) {
    if (!forest.joined(level) || !forest.isCommitted(level) || makesNoClaim(forest.rootOf(level))) continue
    groups.set(level.parent, [...groups.get(level.parent) ?? [], level])
  }
  return [...groups.values()].filter(({ length }) => length > 1).map(children => insideOf(forest, forest.parentOf(children[0]), children))
}

/**
 * @param {{ kinds: { [record: string]: 'list' | 'register' }, transactions: object[] }} history see recorder.mjs
 * @param {{ realTime?: boolean }} [options] without real time, an order is accepted that is not the one in which things ran
 * @returns {{ name: string, transactions: string[], message: string, record?: string, circle?: object[] }[]} none if all is well
 */
export function check(history, { realTime = true } = {}) {
  const forest = makeForest(history)
  const anomalies = [...checkReads(forest), ...checkOwnReads(forest)]
  const orders = versionOrders(forest, history.kinds, { realTime }, anomalies)
  for (const sides of [topLevel(forest), ...siblings(forest)]) {
    const graph = makeGraph(sides, orders, { realTime })
    const pairs = new Set()
    anomalies.push(...lostUpdates(sides, pairs), ...fracturedReads(sides, graph, pairs), ...circles(graph, { realTime }, pairs))
  }
  return anomalies
}

/** The anomalies' names, each once. */
export const namesOf = anomalies => [...new Set(anomalies.map(({ name }) => name))].sort()
