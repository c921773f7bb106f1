/** The lock rules in their plainest form: who may have a lock, who waits for whom, and whom a circle costs its transaction. */

const COMPATIBLE = new Set(['shared shared', 'writer writer'])

/** Whether `outer` is `level` or around it. */
export function isAround(outer, level) {
  for (let at = level; at; at = at.outer) if (at === outer) return true
  return false
}

/**
 * A level is what holds and waits: `{ outer, inside }`, with `inside` the set of levels that run inside of it. Modes: `shared`,
 * `exclusive`, and `writer`, which any number of writers have on a family that nobody lists.
 */
export class LockTable {
  #holders = new Map()
  #waiters = []
  #faults

  constructor(faults) {
    this.#faults = faults
  }

  /** Takes all of `locks` together, `[key, mode]` each, and holds none while it waits. */
  acquire(level, locks, { hold = true, doom }) {
    if (this.#blockers(level, locks).size === 0) {
      if (hold) this.#grant(level, locks)
      this.#breakCircles()
      return undefined
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ level, locks, hold, resolve, reject, doom })
      this.#breakCircles()
    })
  }

  /** A child ended well: what it has, its parent has. */
  pass(level, outer) {
    for (const [key, holders] of this.#holders) {
      const mode = holders.get(level)
      if (mode && !this.#faults.has('a child gives its locks back')) this.#grant(outer, [[key, mode]])
    }
    this.release(level)
  }

  release(level) {
    for (const [key, holders] of this.#holders) {
      holders.delete(level)
      if (holders.size === 0) this.#holders.delete(key)
    }
    this.#wake()
  }

  /** Ends what a level waits for. */
  cancel(level, error) {
    const gone = this.#waiters.filter(waiter => waiter.level === level)
    this.#waiters = this.#waiters.filter(waiter => waiter.level !== level)
    for (const { reject } of gone) reject(error)
  }

  get isEmpty() {
    return this.#holders.size === 0 && this.#waiters.length === 0
  }

  /** Who has what and who waits for whom, to look at where everything stands still. */
  toString() {
    const nameOf = level => (level ? `${level.label ?? '-'}#${level.number ?? ''} ${level.phase} in (${nameOf(level.outer)})` : '')
    return [
      ...[...this.#holders].flatMap(([key, holders]) => [...holders].map(([level, mode]) => `${key} ${mode}: ${nameOf(level)}`)),
      ...this.#waiters.map(({ level, locks }) => `${nameOf(level)} waits for ${locks.map(([key]) => key)} of ${[...this.#blockers(level, locks)].map(nameOf).join(' and ')}`),
    ].join('\n')
  }

  #grant(level, locks) {
    for (const [key, mode] of locks) {
      if (!this.#holders.has(key)) this.#holders.set(key, new Map())
      const had = this.#holders.get(key).get(level) ?? mode
      this.#holders.get(key).set(level, had === mode ? mode : 'exclusive')
    }
  }

  #blockers(level, locks) {
    const blockers = new Set()
    if (this.#faults.has('no record locks')) return blockers
    for (const [key, mode] of locks) {
      const holders = this.#holders.get(key) ?? []
      for (const [holder, held] of holders) {
        if (isAround(holder, level) || COMPATIBLE.has(`${mode} ${held}`)) continue
        if (this.#faults.has('siblings do not exclude each other') && rootOf(holder) === rootOf(level)) continue
        if (this.#faults.has('a reader may write beside other readers') && held === 'shared' && holders.has(level)) continue
        blockers.add(holder)
      }
    }
    return blockers
  }

  #wake() {
    for (const waiter of [...this.#waiters]) {
      if (this.#blockers(waiter.level, waiter.locks).size > 0) continue
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
      if (waiter.hold) this.#grant(waiter.level, waiter.locks)
      waiter.resolve()
    }
    this.#breakCircles()
  }

  /** A grant too can close a circle: of others that wait for the same, and now for the one that has it. */
  #breakCircles() {
    for (const { level, doom } of [...this.#waiters].reverse()) {
      const victim = this.#victimOf(level)
      if (victim) doom(victim)
    }
  }

  /** Whom a level waits for: those whose end frees what it wants, as locks pass outwards until then, and what runs inside of it. */
  #next(level) {
    const waits = this.#waiters.filter(waiter => waiter.level === level)
    return [
      ...waits.flatMap(({ locks }) => [...this.#blockers(level, locks)].map(holder => ({ to: apart(holder, level), by: 'lock' }))),
      ...[...level.inside].map(to => ({ to, by: 'inside' })),
    ]
  }

  /** If the wait of `level` closes a circle: the level itself if it is waited for, else the nearest around it that is. */
  #victimOf(level) {
    const cameFrom = new Map()
    const queue = [level]
    for (const at of queue) {
      for (const { to, by } of this.#next(at)) {
        if (to === level) return this.#waitedFor({ at, by, level, cameFrom })
        if (cameFrom.has(to)) continue
        cameFrom.set(to, { at, by })
        queue.push(to)
      }
    }
    return undefined
  }

  #waitedFor({ at, by, level, cameFrom }) {
    let victim = level
    while (by === 'inside') {
      victim = at
      const before = cameFrom.get(at)
      if (!before) break
      ;({ at, by } = before)
    }
    return victim
  }
}

/** The outermost around a level that has not ended and is not around the other. */
function apart(level, other) {
  let at = level
  while (at.outer?.phase === 'running' && !isAround(at.outer, other)) at = at.outer
  return at
}

function rootOf(level) {
  let root = level
  while (root.outer) root = root.outer
  return root
}
