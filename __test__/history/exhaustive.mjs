/**
 * Looks for one order of everything in a small history that explains all its answers, by trying. Knows no versions and no edges: a
 * state is what each record is, so that deletes and clears count as well. Without independent transactions, whose reads make a claim of
 * their own kind.
 */
import { makesNoClaim } from './nodes.mjs'

/** One thing that took effect at one instant between its begin and its end: a transaction, or what a failed level has read. */
class Unit {
  constructor({ root, level = root, events, isChecked, isKept }) {
    Object.assign(this, { id: level.id, begin: level.begin, end: level.end, root, events, isChecked, isKept })
  }

  /** The state after it, which is the same where it changes nothing; `undefined` where it has read something else. */
  on(state) {
    const staged = new Map()
    const stage = (level, record, value) => {
      if (!staged.has(level)) staged.set(level, new Map())
      staged.get(level).set(record, value)
    }
    for (const { level, operation, around } of this.events) {
      if (!operation) this.#end(level, around, staged, stage)
      else if (operation.kind === 'write') stage(level, operation.record, operation.value.join())
      else if (this.isChecked(level)) {
        const writer = around.find(outer => staged.get(outer)?.has(operation.record))
        const value = writer ? staged.get(writer).get(operation.record) : state.get(operation.record) ?? ''
        if (value !== operation.value.join()) return undefined
      }
    }
    const writes = this.isKept ? staged.get(this.root) : undefined
    return writes ? new Map([...state, ...writes]) : state
  }

  #end(level, [, outer], staged, stage) {
    if (!outer) return
    if (level.status === 'committed') for (const [record, value] of staged.get(level) ?? []) stage(outer, record, value)
    staged.delete(level)
  }
}

/** A level, and those around it. */
function aroundOf(level, byId) {
  const around = []
  for (let at = level; at; at = byId.get(at.parent)) around.push(at)
  return around
}

function unitsOf({ transactions }) {
  const byId = new Map(transactions.map(level => [level.id, level]))
  const trees = new Map()
  for (const level of transactions) {
    const around = aroundOf(level, byId)
    const root = around.at(-1)
    if (!trees.has(root)) trees.set(root, [])
    const events = level.operations.filter(({ refused }) => !refused).map(operation => ({ at: operation.end, level, operation, around }))
    // What waits for its locks goes on before its promise has settled.
    trees.get(root).push(...events, { at: level.status === 'committed' ? level.ready : level.end, level, around })
  }
  return [...trees].flatMap(([root, events]) => {
    events.sort((a, b) => a.at - b.at)
    const levels = [...new Set(events.map(({ level }) => level))]
    const claims = level => !makesNoClaim(root) && level.operations.length > 0
    // From the level itself outwards: whether its reads were still under locks when `outer` ended.
    const wasPassedOnTo = (level, outer) => aroundOf(level, byId).every((at, i, around) => around.indexOf(outer) <= i || at.status === 'committed')
    const whole = new Unit({
      root, events, isKept: root.status === 'committed',
      isChecked: level => claims(level) && wasPassedOnTo(level, root),
    })
    const failed = levels.filter(level => level !== root && level.status !== 'committed').map(outer => new Unit({
      root, level: outer, events: events.filter(({ at }) => at <= outer.end), isKept: false,
      isChecked: level => claims(level) && aroundOf(level, byId).includes(outer) && wasPassedOnTo(level, outer),
    }))
    return [whole, ...failed]
  })
}

/**
 * @param {{ transactions: object[] }} history see recorder.mjs
 * @returns {string[] | undefined} the ids in an order that explains everything, if there is one
 */
export function findOrder(history) {
  const units = unitsOf(history).sort((a, b) => a.begin - b.begin)
  const failed = new Set()
  const order = []
  const left = new Set(units)

  function search(state) {
    const count = order.length
    // What changes nothing goes as soon as it can: that is never worse than later.
    for (let again = true; again;) {
      again = false
      for (const unit of candidates()) {
        if (unit.on(state) !== state) continue
        take(unit)
        again = true
      }
    }
    if (left.size === 0) return true
    const key = JSON.stringify([[...left].map(unit => units.indexOf(unit)), [...state].sort()])
    if (!failed.has(key)) {
      for (const unit of candidates()) {
        const next = unit.on(state)
        if (next === undefined) continue
        take(unit)
        if (search(next)) return true
        giveBack()
      }
      failed.add(key)
    }
    while (order.length > count) giveBack()
    return false
  }

  /** Those that may be next: nothing that is left was over before they began. */
  function candidates() {
    const firstEnd = Math.min(...[...left].map(({ end }) => end))
    return [...left].filter(({ begin }) => begin < firstEnd)
  }

  function take(unit) {
    left.delete(unit)
    order.push(unit)
  }

  function giveBack() {
    left.add(order.pop())
  }

  return search(new Map()) ? order.map(({ id }) => id) : undefined
}
