/** Circles in a dependency graph, short ones first. */

/** Strongly connected parts of more than one node (Tarjan), over edges of some types. */
export function circularParts(graph, types) {
  const parts = []
  const seen = new Map()
  const stack = []
  const onStack = new Set()
  for (const root of graph.nodes()) {
    if (seen.has(root)) continue
    const frames = [enter(root)]
    while (frames.length > 0) {
      const frame = frames.at(-1)
      const { value: edge, done } = frame.edges.next()
      if (!done) {
        if (!seen.has(edge.to)) frames.push(enter(edge.to))
        else if (onStack.has(edge.to)) frame.low = Math.min(frame.low, seen.get(edge.to))
        continue
      }
      frames.pop()
      if (frames.length > 0) frames.at(-1).low = Math.min(frames.at(-1).low, frame.low)
      if (frame.low < seen.get(frame.node)) continue
      const part = new Set(stack.splice(stack.indexOf(frame.node)))
      for (const node of part) onStack.delete(node)
      if (part.size > 1) parts.push(part)
    }
  }
  return parts

  function enter(node) {
    seen.set(node, seen.size)
    stack.push(node)
    onStack.add(node)
    return { node, low: seen.get(node), edges: graph.edgesFrom(node, types) }
  }
}

/** The shortest way between two nodes of a part, as its edges. */
function shortestWay(graph, from, to, part, types) {
  const cameBy = new Map([[from, undefined]])
  const queue = [from]
  for (const node of queue) {
    if (node === to) break
    for (const edge of graph.edgesFrom(node, types)) {
      if (!part.has(edge.to) || cameBy.has(edge.to)) continue
      cameBy.set(edge.to, edge)
      queue.push(edge.to)
    }
  }
  if (!cameBy.has(to)) return undefined
  const way = []
  for (let node = to; node !== from; node = way[0].from) way.unshift(cameBy.get(node))
  return way
}

/** How many edges of one part are tried as the start of a circle. */
const TRIES = 500

/**
 * The shortest circle in a part that begins with an edge of type `first` and goes back over `types`.
 * @param {(circle: object[]) => boolean} accept
 */
export function shortestCircle(graph, part, first, types, accept = () => true) {
  let shortest
  let tries = 0
  for (const node of part) {
    for (const edge of graph.edgesFrom(node, [first])) {
      if (!part.has(edge.to) || tries++ > TRIES) continue
      const way = shortestWay(graph, edge.to, edge.from, part, types)
      if (!way || (shortest && way.length + 1 >= shortest.length)) continue
      const circle = [edge, ...way]
      if (accept(circle)) shortest = circle
      if (shortest?.length === 2) return shortest
    }
  }
  return shortest
}
