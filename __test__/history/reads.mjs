/** Anomalies that one read shows by itself, without any order of the transactions. */
import { makesNoClaim, overlap, shown } from './nodes.mjs'

/** The level, among those that joined into one node, under which both are. */
function meeting(forest, a, b) {
  const around = new Set()
  for (let at = a; ; at = forest.parentOf(at)) {
    around.add(at)
    if (!forest.joined(at)) break
  }
  let at = b
  while (!around.has(at)) at = forest.parentOf(at)
  return at
}

/** The levels from a writer up to, and without, the one that the reader is inside of too. */
function between(forest, writer, reader) {
  const levels = []
  const top = meeting(forest, reader, writer)
  for (let at = writer; at !== top; at = forest.parentOf(at)) levels.push(at)
  return levels
}

function lookAtVersion(forest, level, read, version, isShown) {
  const write = forest.writes.get(version)
  if (!write) return ['garbage read', `${version} was written by nobody`]
  const { level: writer, operation } = write
  if (operation.record !== read.record) return ['garbage read', `${version} was written to ${operation.record}`]
  if (operation.refused) return ['G1a', `the write of ${version} by ${writer.id} was refused`]
  if (read.end <= operation.begin) return ['garbage read', `${version} was read before it was written`]
  if (forest.rootOf(writer) === forest.rootOf(level)) {
    const inside = between(forest, writer, level)
    if (inside.some(({ status }) => status === 'aborted')) return ['G1a', `${version} was written by ${writer.id}, which was rolled back`]
    if (inside.some(({ ready }) => read.end < ready)) return ['dirty read', `${version} was read before ${writer.id}, which wrote it, had ended`]
    return undefined
  }
  if (!forest.isCommitted(writer)) return ['G1a', `${version} was written by ${writer.id}, which was rolled back`]
  const node = forest.nodeOf(writer)
  const final = node.finals.get(read.record)
  if (isShown && final !== version && !overlap(operation, forest.writes.get(final).operation)) return ['G1b', `${version} is not the last that ${node.id} wrote there`]
  if (read.end < node.ready) return ['dirty read', `${version} was read before ${node.id}, which wrote it, had ended`]
  return undefined
}

export function checkReads(forest) {
  const anomalies = []
  for (const level of forest.levels) {
    for (const operation of level.operations) {
      if (operation.begin > level.end && !operation.refused) {
        anomalies.push({ name: 'late call', transactions: [level.id], record: operation.record, message: `a ${operation.kind} of ${operation.record} was answered after ${level.id} had ended` })
      }
    }
    for (const read of level.operations) {
      if (read.kind !== 'read') continue
      const report = (name, what) => anomalies.push({
        name, transactions: [level.id], record: read.record, message: `${level.id} read ${read.record} as [${read.value}]: ${what}`,
      })
      if (new Set(read.value).size < read.value.length) report('duplicate version', 'a version is in it twice')
      for (const version of read.value) {
        const found = lookAtVersion(forest, level, read, version, version === shown(read.value))
        if (!found) continue
        report(...found)
        break
      }
    }
  }
  return anomalies
}

/** What of a node's own writes and reads a level sees: its own, then those of the levels around it. */
class View {
  #known = new Map()

  constructor(outer) {
    this.outer = outer
  }

  find(record) {
    return this.#known.get(record) ?? this.outer?.find(record)
  }

  put(record, known) {
    if (this.isMerged) this.outer.put(record, known)
    else this.#known.set(record, known)
  }

  /** What the level still does comes to those around it at once. */
  merge() {
    for (const [record, known] of this.#known) this.outer.put(record, known)
    this.#known.clear()
    this.isMerged = true
  }

  /** Another transaction, which may use the locks of this one, has committed: what was read before may have changed. */
  forgetRead(record) {
    if (this.#known.get(record)?.kind === 'read') this.#known.delete(record)
  }
}

/**
 * Inside of a node: a read finds what the node itself wrote or read there last, and nothing of a level that failed. Siblings
 * exclude each other, so that one at a time is what each of them sees.
 */
export function checkOwnReads(forest) {
  const anomalies = []
  const views = new Map()
  const viewOf = level => {
    // One that joined late, and failed with what it joined, may have gone on for a while beside a parent that was given up already.
    const isInside = forest.joined(level) && !(level.wasIndependent && level.status === 'aborted')
    if (!views.has(level)) views.set(level, new View(isInside ? viewOf(forest.parentOf(level)) : undefined))
    return views.get(level)
  }
  // Where a level waited for one inside, both are ready at one instant: the inner one first, which began later.
  const steps = [...forest.levels].reverse().flatMap(level => [
    ...level.operations.filter(({ refused }) => !refused).map(operation => ({ at: operation.end, level, operation })),
    { at: level.ready, level },
  ])
  for (const { level, operation } of steps.sort((a, b) => a.at - b.at)) {
    const view = viewOf(level)
    if (!operation) endOf(forest, level, view, viewOf)
    else if (operation.kind === 'write') view.put(operation.record, { ...operation, by: level })
    else {
      const { record, value } = operation
      const known = view.find(record)
      const written = forest.writes.get(shown(value))?.operation
      const isOpen = known && (overlap(operation, known) || (written && (overlap(operation, written) || overlap(known, written))))
      if (known && !isOpen && shown(known.value) !== shown(value)) {
        const name = known.kind === 'write' ? 'read your writes' : 'non-repeatable read'
        const did = known.kind === 'write' ? 'written' : 'read'
        anomalies.push({ name, transactions: [level.id], record, message: `${level.id} read ${record} as [${value}]; ${known.by.id} had ${did} it as [${known.value}]` })
      }
      // Where only the label is locked, others may write meanwhile.
      if (known?.kind !== 'write' && !makesNoClaim(forest.rootOf(level))) view.put(record, { ...operation, by: level })
    }
  }
  return anomalies
}

function endOf(forest, level, view, viewOf) {
  if (level.status !== 'committed') return
  if (forest.joined(level)) view.merge()
  if (forest.joined(level)) return
  for (let at = forest.parentOf(level); at; at = forest.parentOf(at)) {
    for (const record of forest.nodeOf(level).finals.keys()) viewOf(at).forgetRead(record)
  }
}

