// What everybody shares: it has to be the same before and after.
const SHARED = [
  Object, Function, Array, String, Number, Boolean, Symbol, BigInt, Promise, Map, Set, WeakMap, Error, TypeError, RangeError, RegExp, Date, Proxy, JSON, Reflect,
  ArrayBuffer, Uint8Array, Buffer, DataView, globalThis,
].flatMap(shared => [shared, shared.prototype]).filter(Boolean)
const TYPED = Object.getPrototypeOf(Uint8Array)
const ITERATORS = [[][Symbol.iterator](), new Map().entries(), (function * () {})(), (async function * () {})()].map(Object.getPrototypeOf)
const ALL = [...SHARED, TYPED, TYPED.prototype, ...ITERATORS]
// Node.js makes some of the values of globalThis when they are first looked at, and with them some properties more.
Object.getOwnPropertyDescriptors(globalThis)

/** Every property of what is shared, as it is now. */
export function sharedProperties() {
  return ALL.map(object => {
    const all = Object.getOwnPropertyDescriptors(object)
    const facts = new Map([['[[Prototype]]', Object.getPrototypeOf(object)]])
    for (const key of Reflect.ownKeys(all)) {
      // Node.js makes some of the values of globalThis when they are first asked for.
      facts.set(key, object === globalThis ? 'there' : all[key].value ?? all[key].get)
    }
    return facts
  })
}

/** The first difference, in words; `undefined` where there is none. */
export function firstDifference(before, after) {
  for (const [number, facts] of before.entries()) {
    for (const key of new Set([...facts.keys(), ...after[number].keys()])) {
      if (!Object.is(facts.get(key), after[number].get(key))) return `${String(ALL[number]?.name ?? number)}: ${String(key)}`
    }
  }
  return undefined
}
