/**
 * Who belongs together. Levels that joined make one node, which commits or not as a whole; an independent child is a node of its
 * own, related to the nodes around it.
 */

/** What a record is before anybody wrote it. */
export const INITIAL = '(initial)'

/** Calls that are under way at once have no order. */
export const overlap = (one, other) => one.begin < other.end && other.begin < one.end

/** Whether what a transaction read was not locked, so that it carries no claim. */
export const makesNoClaim = ({ isolation, alone }) => isolation === 'label' && !alone

/** The version that a value shows. */
export const shown = value => value.at(-1) ?? INITIAL

class Forest {
  #levels
  #nodes = new Map()
  /** By version: who wrote it, where, and what the whole value was. */
  writes = new Map()
  /** All levels, whatever became of them. */
  levels = []
  /** Nodes that committed, and only those. */
  committed = []

  constructor(history) {
    const transactions = history.transactions.map(level => ({ ...level }))
    this.#levels = new Map(transactions.map(level => [level.id, level]))
    for (const level of transactions) {
      for (const operation of level.operations) if (operation.kind === 'write') this.writes.set(shown(operation.value), { level, operation })
    }
    this.#leaveFailed(transactions)
    this.#settleUnknown(transactions)
    this.levels = transactions
    this.#waitForChildren()
    for (const level of transactions) this.nodeOf(level).levels.push(level)
    for (const node of this.#nodes.values()) this.#fill(node)
    this.committed = [...this.#nodes.values()].filter(({ status }) => status === 'committed')
    this.failed = transactions.filter(({ status }) => status === 'aborted').map(level => this.#readerOf(level))
  }

  parentOf(level) {
    return level.parent === undefined ? undefined : this.#levels.get(level.parent)
  }

  joined(level) {
    return level.parent !== undefined && level.nested !== 'independent'
  }

  /** The level that decides over this one. */
  rootOf(level) {
    let root = level
    while (this.joined(root)) root = this.parentOf(root)
    return root
  }

  /** Whether a level is, or has become, a part of another one. */
  #isWithin(level, outer) {
    for (let at = level; ; at = this.parentOf(at)) {
      if (at === outer) return true
      if (!this.joined(at)) return false
    }
  }

  nodeOf(level) {
    const root = this.rootOf(level)
    if (!this.#nodes.has(root.id)) {
      this.#nodes.set(root.id, {
        id: root.id, root, status: root.status, begin: root.begin, ready: root.ready, end: root.end,
        levels: [], operations: [], finals: new Map(), related: new Set(),
      })
    }
    return this.#nodes.get(root.id)
  }

  /** Whether what a level wrote has taken effect. */
  isCommitted(level) {
    for (let at = level; ; at = this.parentOf(at)) {
      if (at.status !== 'committed') return false
      if (!this.joined(at)) return true
    }
  }

  writerOf(version) {
    const write = this.writes.get(version)
    return write && !write.operation.refused && this.isCommitted(write.level) ? this.nodeOf(write.level) : undefined
  }

  areRelated(a, b) {
    return a.related.has(b.id) || b.related.has(a.id)
  }

  /** Reads of a node that saw what others wrote. */
  outerReads(node) {
    return node.operations.filter(({ kind, value }) => kind === 'read' && this.writerOf(shown(value)) !== node)
  }

  /** Whether a level is inside of another one, joined or not. */
  #isInside(level, outer) {
    for (let at = level; at; at = this.parentOf(at)) if (at === outer) return true
    return false
  }

  /** An independent one that went on after the one around it had failed has joined what is around that one. */
  #leaveFailed(transactions) {
    for (const level of transactions) while (level.wasIndependent && this.#outlived(level, this.parentOf(level))) level.parent = this.parentOf(level).parent
  }

  #outlived(level, outer) {
    if (outer?.status !== 'aborted') return false
    return level.operations.some(({ kind, value, begin, end, refused }) => {
      if (refused || end < outer.end) return false
      if (begin > outer.end) return true
      // One that was under way: it tells by what it saw.
      const writer = kind === 'read' ? this.writes.get(shown(value))?.level : undefined
      return writer !== undefined && !this.#isInside(writer, outer) && this.#isInside(writer, this.parentOf(outer) ?? outer)
    })
  }

  /** An independent one that saw what is staged around it had joined, with all between, also where its end was to tell. */
  #settleJoined(transactions) {
    for (const level of transactions) {
      for (const { kind, value } of level.operations) {
        const writer = kind === 'read' && this.writes.get(shown(value))?.level
        if (writer) this.#joinAround(level, writer)
      }
    }
  }

  #joinAround(level, writer) {
    const between = []
    let at = level
    for (; at && !this.#isWithin(writer, at); at = this.parentOf(at)) between.push(at)
    if (!at) return
    for (const one of between) if (one.status === 'unknown' && one.nested === 'independent') Object.assign(one, { nested: 'join', wasIndependent: true })
  }

  /** What nobody was told the outcome of has happened if somebody saw it, and need not have if nobody did. */
  #settleUnknown(transactions) {
    this.#settleJoined(transactions)
    // Those inside see it in any case.
    const seen = new Set(transactions.flatMap(level => level.operations.flatMap(({ kind, value }) => value.filter(version => {
      const write = this.writes.get(version)
      return write && (kind === 'read' || write.level !== level) && !this.#isInside(level, this.rootOf(write.level))
    }))))
    for (const level of transactions) {
      if (level.status !== 'unknown') continue
      const wasSeen = transactions.some(other => this.#isWithin(other, level) && other.operations.some(({ kind, value }) => kind === 'write' && seen.has(shown(value))))
      level.status = wasSeen ? 'committed' : 'aborted'
      // Nobody was told of the answers either: a write without one may have been taken.
      level.operations = level.operations.map(operation => (
        operation.kind === 'write' && operation.refused && seen.has(shown(operation.value)) ? { ...operation, refused: false } : operation
      ))
      for (const operation of level.operations) if (operation.kind === 'write') this.writes.set(shown(operation.value), { level, operation })
      level.ready ??= level.operations.at(-1)?.begin ?? level.begin
      level.end = Infinity
    }
  }

  /** A commit waits for what commits inside: nobody is ready before. */
  #waitForChildren() {
    for (const level of this.levels) level.end ??= Infinity
    for (const level of this.levels) level.ready ??= level.end
    for (const level of this.levels) {
      for (let at = level, outer = this.parentOf(at); outer && at.status === 'committed'; at = outer, outer = this.parentOf(at)) {
        outer.ready = Math.max(outer.ready, Math.min(level.ready, outer.end))
      }
    }
  }

  /** Whether what a level has read was still locked when an outer one ended. */
  #wasPassedOnTo(level, outer) {
    for (let at = level; at !== outer; at = this.parentOf(at)) if (at.status !== 'committed' || !this.joined(at)) return false
    return true
  }

  /** One that failed, with what was passed on to it, as if it had only read. */
  #readerOf(level) {
    const inside = this.levels.filter(other => this.#isInside(other, level))
    const operations = inside.filter(other => this.#wasPassedOnTo(other, level)).flatMap(({ operations }) => operations)
    const around = []
    for (let at = this.parentOf(level); at; at = this.parentOf(at)) around.push(at)
    return {
      id: level.id, root: level, begin: level.begin, ready: level.ready, end: level.end,
      reads: operations.filter(({ kind, value, begin }) => kind === 'read' && begin < level.end && !this.#isOfTree(shown(value), level)),
      related: new Set([...around, ...inside.filter(other => other !== level)].map(other => this.rootOf(other).id)),
    }
  }

  /** Whether a version was written around a level or inside of it. */
  #isOfTree(version, level) {
    const writer = this.writes.get(version)?.level
    return writer !== undefined && this.rootOf(writer) === this.rootOf(level)
  }

  #fill(node) {
    node.operations = node.levels
      .filter(level => this.isCommitted(level))
      .flatMap(level => level.operations.filter(({ refused }) => !refused).map(operation => ({ ...operation, level })))
      .sort((a, b) => a.end - b.end)
    for (const { kind, record, value } of node.operations) if (kind === 'write') node.finals.set(record, shown(value))
    for (const level of node.levels) {
      for (let at = this.parentOf(level); at; at = this.parentOf(at)) if (this.rootOf(at) !== node.root) node.related.add(this.rootOf(at).id)
    }
  }
}

export const makeForest = history => new Forest(history)
