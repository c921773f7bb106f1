/** Plans small enough for the search through all orders: few records, which are deleted and cleared as well. */
import { Random } from './random.mjs'

const FAMILIES = ['session', 'lid-mapping']
const LISTS = ['l1']
const IDS = ['l1', 'r1']

class Planner {
  constructor(random, { failures, deletes, limits }) {
    Object.assign(this, { random, failures, deletes, limits })
  }

  pause() {
    return this.random.weighted({ none: 3, microtask: 5, turn: 6, turns: 2, hang: this.limits ? 0.3 : 0 })
  }

  batch() {
    return Object.fromEntries(this.random.some(FAMILIES, this.random.between(1, 2)).map(family => [family, ['r1']]))
  }

  call() {
    const { random } = this
    const kind = random.weighted({ get: 4, set: 3, list: 1, delete: this.deletes ? 1.5 : 0, clear: this.deletes ? 1.5 : 0 })
    const step = { account: 'a', pause: this.pause(), do: kind }
    switch (kind) {
      case 'get':
        return { ...step, family: random.pick(FAMILIES), ids: random.some(IDS, random.between(1, 2)) }
      case 'set':
        return { ...step, batch: this.batch() }
      case 'delete':
        return { ...step, batch: Object.fromEntries(random.some(FAMILIES, random.between(1, 2)).map(family => [family, random.some(IDS, random.between(1, 2))])) }
      case 'list':
        return { ...step, family: random.pick(FAMILIES) }
      default:
        return step
    }
  }

  transaction(depth) {
    const { random } = this
    return {
      account: 'a', pause: this.pause(), do: 'transaction', label: random.pick([undefined, undefined, 'x', 'y']),
      ...random.chance(0.06) && { timeoutMs: random.between(1, 5) },
      ...random.chance(0.06) && { abortAfter: random.weighted({ microtask: 1, turn: 2, turns: 3 }) },
      ...random.chance(0.15) && { records: random.some(FAMILIES.flatMap(type => IDS.map(id => ({ type, id }))), 2) },
      handle: random.chance(0.5), fails: random.chance(this.failures), isCaught: random.chance(0.7), retries: random.below(3),
      work: Array.from({ length: random.between(1, 3) }, () => this.inside(depth)),
    }
  }

  inside(depth) {
    const { random } = this
    const kind = random.weighted({ call: 5, append: 4, nested: depth > 0 ? 2 : 0, siblings: depth > 0 ? 1 : 0 })
    if (kind === 'nested') return this.transaction(depth - 1)
    if (kind === 'siblings') return { pause: this.pause(), do: 'siblings', transactions: [this.transaction(depth - 1), this.transaction(depth - 1)] }
    if (kind === 'append') return { pause: this.pause(), do: 'append', family: random.pick(FAMILIES), ids: LISTS, between: this.pause() }
    return this.call()
  }
}

/**
 * @param {number} seed
 * @param {{ clients?: number, steps?: number, failures?: number, deletes?: boolean, limits?: boolean }} [options]
 */
export function makeSmallPlan(seed, { clients = 4, steps = 3, failures = 0.2, deletes = true, limits = false } = {}) {
  const random = new Random(seed)
  return Array.from({ length: clients }, () => {
    const planner = new Planner(random.fork(), { failures, deletes, limits })
    return Array.from({ length: steps }, () => (random.chance(0.65) ? planner.transaction(2) : planner.call()))
  })
}
