/** What the clients of a workload will do: plain data that depends on the seed alone, and can be printed. */
import { Random } from './random.mjs'

export const FAMILIES = ['session', 'sender-key', 'lid-mapping', 'device-list']

/** What a store may have beyond `{ get, set, transaction, isInTransaction }`. */
export const FEATURES = {
  /** `work` receives a handle with the same methods. */
  handle: true,
  /** A transaction inside another joins it; one that fails leaves nothing behind. */
  nested: true,
  /** Several run inside one parent at once. */
  siblings: true,
  /** What runs inside and is not awaited is waited for by the commit. */
  unawaited: true,
  /** `nested: 'independent'`. */
  independent: true,
  /** `isolation: 'label'`. */
  isolation: true,
  /** `transactWith({ records })`. */
  records: true,
  timeouts: true,
  signals: true,
  lists: true,
  /** `loadCreds`, `saveCreds`, `setCreds`. */
  creds: true,
  /** Calls of work that outlives its transaction. */
  detached: true,
  /** Transactions of several accounts inside each other. */
  accounts: true,
}
export const NO_FEATURES = Object.fromEntries(Object.keys(FEATURES).map(name => [name, false]))

const LISTS = ['l1', 'l2']
const REGISTERS = ['r1', 'r2']
export const IDS = [...LISTS, ...REGISTERS]
/** Lists that are written under one label only. */
export const ALONE = ['g1', 'g2']
const LABELS = ['a label', 'another', 'third', undefined]

class Planner {
  constructor(random, { features, failures, limits }) {
    Object.assign(this, { random, features, failures, limits })
  }

  on(feature, weight) {
    return this.features[feature] ? weight : 0
  }

  pause() {
    return this.random.weighted({ none: 3, microtask: 6, turn: 6, turns: 2, timer: 0.6, hang: this.limits ? 0.3 : 0 })
  }

  account() {
    return this.features.accounts && this.random.chance(0.25) ? 'b' : 'a'
  }

  /** One or several registers of one or two families, to be written as one batch. */
  batch() {
    const families = this.random.some(FAMILIES, this.random.between(1, 2))
    return Object.fromEntries(families.map(family => [family, this.random.some(REGISTERS, this.random.between(1, 2))]))
  }

  read() {
    return { do: 'get', family: this.random.pick(FAMILIES), ids: this.random.some(IDS, this.random.between(1, 3)) }
  }

  readOutside() {
    return this.random.chance(this.on('isolation', 0.2)) ? { ...this.read(), ids: ALONE } : this.read()
  }

  outside() {
    const kind = this.random.weighted({ transaction: 10, get: 3, set: 2, list: this.on('lists', 0.5), loadCreds: this.on('creds', 0.5), saveCreds: this.on('creds', 0.5) })
    const step = { account: this.account(), pause: this.pause() }
    switch (kind) {
      case 'transaction':
        return { ...step, ...this.random.chance(this.on('isolation', 0.15)) ? this.alone(1) : this.transaction(2), retries: 2 }
      case 'get':
        return this.random.chance(0.5) ? { ...step, ...this.readOutside() } : { ...step, ...this.read(), ids: IDS, times: this.random.between(2, 8) }
      case 'set':
        return { ...step, do: 'set', batch: this.batch() }
      case 'list':
        return { ...step, do: 'list', family: this.random.pick(FAMILIES) }
      default:
        return { ...step, do: kind }
    }
  }

  /**
   * @param {number} depth how many levels may still be inside
   * @param {{ inside?: boolean, blind?: boolean, elsewhere?: boolean, crowded?: boolean }} [scope] what is around: a transaction of
   *   the same account; one whose reads carry no claim, so that nothing may be written from them; one of another account; siblings
   */
  transaction(depth, scope = {}) {
    const { random } = this
    const isolated = !scope.inside && random.chance(this.on('isolation', 0.12))
    const independent = scope.inside && random.chance(this.on('independent', 0.35))
    const blind = isolated || scope.blind
    const records = !blind && !independent && random.chance(this.on('records', 0.15))
      ? random.some(FAMILIES.flatMap(type => LISTS.map(id => ({ type, id }))), random.between(1, 3))
      : undefined
    return {
      do: 'transaction',
      label: records || (scope.inside && random.chance(0.6)) ? undefined : random.pick(isolated ? LABELS.filter(Boolean) : LABELS),
      ...records && { records },
      ...isolated && { isolation: 'label' },
      ...independent && { nested: 'independent' },
      ...random.chance(this.on('timeouts', 0.05)) && { timeoutMs: random.between(1, 12) },
      ...random.chance(this.on('signals', 0.05)) && { abortAfter: random.weighted({ microtask: 1, turn: 2, turns: 3, timer: 2 }) },
      handle: random.chance(this.on('handle', 0.5)),
      work: this.work(depth, { ...scope, inside: true, blind }),
      fails: random.chance(this.failures),
      isCaught: random.chance(0.7),
      retries: random.below(2),
    }
  }

  /** Isolated by a label under which everybody works on the same records, and nobody else does: what it reads carries a claim. */
  alone(depth) {
    const { random } = this
    const step = () => {
      const of = { pause: this.pause(), family: random.pick(FAMILIES), ids: random.some(ALONE, random.between(1, 2)) }
      const kind = random.weighted({ get: 2, append: 3, transaction: depth > 0 ? 1 : 0 })
      return kind === 'transaction' ? { ...this.alone(depth - 1), pause: this.pause(), isolation: undefined, label: undefined } : { ...of, do: kind, between: this.pause() }
    }
    return {
      do: 'transaction', label: 'alone', isolation: 'label', alone: true, handle: random.chance(this.on('handle', 0.5)),
      work: Array.from({ length: random.between(1, 3) }, step), fails: random.chance(this.failures), isCaught: random.chance(0.7), retries: 1,
    }
  }

  work(depth, scope) {
    const { random } = this
    const steps = Array.from({ length: random.between(1, 4) }, () => this.step(depth, scope))
    // Last of all: from here on nothing else happens in this level, whose locks it may use.
    if (depth > 0 && !scope.blind && random.chance(this.on('unawaited', 0.06))) {
      // Nor again later, when its parent has ended and it would meet the one around that at work.
      steps.push({ pause: this.pause(), ...this.transaction(depth - 1, { ...scope, crowded: true }), isAwaited: false, retries: 0 })
    }
    return steps
  }

  step(depth, scope) {
    const { random } = this
    // Without locks of its own, a blind one has no order among what runs inside of it at once.
    const atOnce = feature => (scope.blind ? 0 : this.on(feature, 1))
    const kind = random.weighted({
      get: 4, append: scope.blind ? 0 : 5, set: scope.blind ? 5 : 2,
      nested: depth > 0 ? this.on('nested', 2) : 0, siblings: depth > 0 ? atOnce('siblings') : 0,
      list: this.on('lists', 0.3), detached: 0.2 * atOnce('detached'),
      setCreds: scope.crowded ? 0 : this.on('creds', 0.2), saveCreds: scope.crowded ? 0 : this.on('creds', 0.3),
      elsewhere: depth > 0 && !scope.elsewhere ? this.on('accounts', 0.4) : 0,
    })
    const step = { pause: this.pause() }
    const nested = more => ({ pause: this.pause(), ...this.transaction(depth - 1, { ...scope, ...more }) })
    switch (kind) {
      case 'get':
        return { ...step, ...this.read() }
      case 'append':
        return { ...step, do: 'append', family: random.pick(FAMILIES), ids: random.some(LISTS, random.between(1, 2)), between: this.pause() }
      case 'set':
        return { ...step, do: 'set', batch: this.batch() }
      case 'nested':
        return nested()
      case 'siblings':
        return { ...step, do: 'siblings', transactions: Array.from({ length: random.between(2, 3) }, () => nested({ crowded: true })) }
      case 'list':
        return { ...step, do: 'list', family: random.pick(FAMILIES) }
      case 'detached':
        return { ...step, do: 'detached', after: random.weighted({ microtask: 1, turn: 2, turns: 2 }), batch: this.batch() }
      case 'elsewhere':
        return { ...step, ...this.transaction(depth - 1, { elsewhere: true }), isCaught: true, elsewhere: true }
      default:
        return { ...step, do: kind }
    }
  }
}

/**
 * @param {number} seed
 * @param {{ clients?: number, steps?: number, features?: { [feature: string]: boolean }, failures?: number, limits?: boolean }} [options]
 *   `failures`: how likely work fails on purpose; `limits`: whether some of it hangs
 * @returns {object[][]} the steps of each client
 */
export function makePlan(seed, { clients = 6, steps = 6, features = FEATURES, failures = 0.15, limits = false } = {}) {
  const random = new Random(seed)
  return Array.from({ length: clients }, () => {
    const planner = new Planner(random.fork(), { features, failures, limits })
    return Array.from({ length: steps }, () => planner.outside())
  })
}
