// Hostile values. Each is made of a recipe: plain data, so that it can be printed, shrunk, and made anew for every call.
// `expect` says what has to come back, by docs/values.md and by the recipe alone: it never looks at the value.
import fc from 'fast-check'

/** What a value comes to. */
export const REFUSED = Symbol('refused')
/** A property with it is dropped; as a whole value it deletes the record. */
export const ABSENT = Symbol('absent')
/** Refused or not, and whatever it is: it changes while it is looked at. */
export const ANY = Symbol('any')

/** What a getter or a trap of ours throws: an error that is the caller's own may come back as it is. */
export class Own extends Error {}

const LONE = '\ud83d'
const refused = build => ({ build, expect: () => REFUSED })
const same = value => ({ build: () => value, expect: () => value })

function detachedBytes() {
  const bytes = new Uint8Array([1, 2, 3])
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

function outOfBounds() {
  const buffer = new ArrayBuffer(8, { maxByteLength: 16 })
  const bytes = new Uint8Array(buffer, 4, 4)
  buffer.resize(2)
  return bytes
}

function lengthTracking() {
  const buffer = new ArrayBuffer(4, { maxByteLength: 16 })
  const bytes = new Uint8Array(buffer)
  bytes.set([1, 2, 3, 4])
  buffer.resize(6)
  return bytes
}

function shared() {
  const bytes = new Uint8Array(new SharedArrayBuffer(4))
  bytes.set([9, 8, 7, 6])
  return bytes
}

class Bytes extends Uint8Array {
  get length() { return 1_000_000 }
  get byteLength() { return -1 }
  get buffer() { throw new Own('buffer') }
  * [Symbol.iterator]() { throw new Own('iterator') }
}

class Items extends Array {
  get [Symbol.toStringTag]() { throw new Own('tag') }
  * [Symbol.iterator]() { throw new Own('iterator') }
}

function revoked(target) {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** Leaves by name. */
const LEAVES = {
  null: { build: () => null, expect: () => null },
  undefined: { build: () => undefined, expect: () => ABSENT },
  true: same(true),
  zero: same(0),
  minusZero: { build: () => -0, expect: () => 0 },
  large: same(2 ** 53),
  fraction: same(-1.5e300),
  empty: same(''),
  text: same('t\u00fcr \ud83d\ude00'),
  nul: same('a\u0000b'),
  long: same('x'.repeat(70_000)),
  lone: refused(() => `a${LONE}`),
  nan: refused(() => NaN),
  infinity: refused(() => -Infinity),
  bigint: refused(() => 10n ** 40n),
  symbol: refused(() => Symbol('s')),
  function: refused(() => function f() {}),
  class: refused(() => class {}),
  date: refused(() => new Date(NaN)),
  map: refused(() => new Map([[1, 2]])),
  set: refused(() => new Set([1])),
  weak: refused(() => new WeakMap()),
  regExp: refused(() => /x/g),
  error: refused(() => new RangeError('x')),
  promise: refused(() => Promise.resolve(1)),
  boxed: refused(() => Object(1n)),
  arrayBuffer: refused(() => new ArrayBuffer(3)),
  dataView: refused(() => new DataView(new ArrayBuffer(3))),
  int32: refused(() => new Int32Array(2)),
  bytes: { build: () => new Uint8Array([0, 255, 3]), expect: () => Buffer.from([0, 255, 3]) },
  slice: { build: () => Buffer.from('abcdef').subarray(1, 4), expect: () => Buffer.from('bcd') },
  lyingBytes: { build: () => new Bytes([5, 6]), expect: () => ANY },
  detached: { build: detachedBytes, expect: () => ANY },
  outOfBounds: { build: outOfBounds, expect: () => ANY },
  lengthTracking: { build: lengthTracking, expect: () => Buffer.from([1, 2, 3, 4, 0, 0]) },
  shared: { build: shared, expect: () => Buffer.from([9, 8, 7, 6]) },
  prototypeOfBytes: { build: () => Object.create(Uint8Array.prototype), expect: () => ANY },
  holes: refused(() => [1, , 3]),
  hugeArray: refused(() => { const array = []; array.length = 2 ** 32 - 1; return array }),
  hugeBytes: { build: () => ({ type: 'Buffer', data: { length: 2 ** 32 } }), expect: () => ({ type: 'Buffer', data: { length: 2 ** 32 } }) },
  bufferJson: { build: () => ({ type: 'Buffer', data: [1, 258, 3] }), expect: () => Buffer.from([1, 2, 3]) },
  bufferLying: { build: () => ({ get type() { return 'Buffer' }, get data() { throw new Own('data') } }), expect: () => ANY },
  extraItems: { build: () => Object.assign([1], { extra: 2, '-1': 3 }), expect: () => [1] },
  subclassedArray: { build: () => { const items = new Items(); items.push(1, 2); return items }, expect: () => [1, 2] },
  accessorItem: { build: () => Object.defineProperty([1, 2], 1, { get: () => { throw new Own('item') }, enumerable: true }), expect: () => ANY },
  lengthOfProxy: { build: () => new Proxy([1, 2], { get: (target, key) => (key === 'length' ? 2 ** 31 : target[key]) }), expect: () => ANY },
  shrinking: {
    build: () => { const array = [0, 1, 2, 3]; Object.defineProperty(array, 1, { get: () => { array.length = 0; return 1 }, enumerable: true, configurable: true }); return array },
    expect: () => ANY,
  },
  growing: {
    build: () => { const object = { a: 1 }; Object.defineProperty(object, 'b', { get: () => { for (let n = 0; n < 50; n++) object[`n${n}`] = n; return 2 }, enumerable: true, configurable: true }); return object },
    expect: () => ANY,
  },
  deleting: {
    build: () => { const object = { get a() { delete object.b; return 1 }, b: 2, c: 3 }; return object },
    expect: () => ANY,
  },
  changing: { build: () => { let n = 0; return { get a() { n++; return n % 2 ? 'one' : { two: [n] } } } }, expect: () => ANY },
  nullPrototype: { build: () => Object.assign(Object.create(null), { a: 1 }), expect: () => ({ a: 1 }) },
  instance: { build: () => new (class Thing { own = 1; get inherited() { throw new Own('inherited') } })(), expect: () => ({ own: 1 }) },
  setters: { build: () => Object.create({ set n(_) { throw new Own('setter') }, get n() { throw new Own('getter') } }, { own: { value: 2, enumerable: true } }), expect: () => ({ own: 2 }) },
  hidden: { build: () => Object.defineProperty({ a: 1 }, 'h', { value: 2, enumerable: false }), expect: () => ({ a: 1 }) },
  symbols: { build: () => ({ a: 1, [Symbol('s')]: { toString: null } }), expect: () => ({ a: 1 }) },
  ownProto: { build: () => JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":2}}}'), expect: () => JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":2}}}') },
  numeric: { build: () => ({ b: 1, 0: 2, 4294967295: 3 }), expect: () => ({ 0: 2, b: 1, 4294967295: 3 }) },
  emptyKey: { build: () => ({ '': { '': [] } }), expect: () => ({ '': { '': [] } }) },
  loneKey: refused(() => ({ [LONE]: 1 })),
  manyKeys: { build: () => Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`k${n}`, n])), expect: () => Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`k${n}`, n])) },
  circle: refused(() => { const object = { a: [] }; object.a.push(object); return object }),
  deep: refused(() => { let value = 1; for (let n = 0; n < 50_000; n++) value = n % 2 ? [value] : { value }; return value }),
  thenable: refused(() => ({ then(resolve) { resolve(1) } })),
  toPrimitive: refused(() => ({ [Symbol.toPrimitive]() { throw new Own('primitive') }, toString() { throw new Own('string') }, valueOf: 1, a() {} })),
  throwing: { build: () => ({ a: 1, get b() { throw new Own('getter') } }), expect: () => REFUSED },
  throwingNothing: { build: () => ({ get b() { throw undefined } }), expect: () => ANY },
  throwingRevoked: { build: () => ({ get b() { throw revoked({}) } }), expect: () => ANY },
  revokedObject: refused(() => revoked({})),
  revokedArray: refused(() => revoked([])),
  revokedFunction: refused(() => revoked(() => {})),
  endlessProxy: { build: () => { const proxy = new Proxy({}, { get: (_, key) => (key === 'toJSON' ? undefined : proxy), ownKeys: () => ['a'], getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }) }); return proxy }, expect: () => ANY },
  endlessJson: { build: () => { const object = { toJSON: () => ({ toJSON: object.toJSON }) }; return object }, expect: () => REFUSED },
  throwingJson: { build: () => ({ toJSON() { throw new Own('toJSON') } }), expect: () => REFUSED },
  getterJson: { build: () => ({ get toJSON() { throw new Own('get toJSON') } }), expect: () => REFUSED },
}

/** What a getter may do to the store that reads it. */
const CALLS = ['get', 'set', 'transaction', 'drop', 'collect']
const TRAPS = ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf']

/** What an object is wrapped in. */
const WRAPS = {
  none: value => value,
  proxy: value => (isObject(value) ? new Proxy(value, {}) : value),
  jsonOf: value => ({ toJSON: () => value }),
  getter: value => ({ get inner() { return value } }),
  frozen,
}

function frozen(value) {
  try {
    return Object.freeze(value)
  } catch {
    // Bytes, a proxy of them, or one that was revoked.
    return value
  }
}

const isObject = value => typeof value === 'object' && value !== null

const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'me', 'hash') },
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '0', '', 'length', 'type', 'data', 'then'),
)

const leaves = names => fc.constantFrom(...names).map(leaf => ({ leaf }))
const STORABLE = Object.keys(LEAVES).filter(name => ![REFUSED, ANY].includes(LEAVES[name].expect()))

/** Recipes of values: any, and those without what is refused for itself, of which whole batches can be stored. */
export const { recipe, storable } = fc.letrec(tie => ({
  recipe: fc.oneof({ maxDepth: 3, depthIdentifier: 'recipe' },
    { weight: 6, arbitrary: leaves(Object.keys(LEAVES)) },
    { weight: 3, arbitrary: fc.array(fc.tuple(key, tie('recipe')), { maxLength: 4 }).map(entries => ({ object: entries })) },
    { weight: 2, arbitrary: fc.array(tie('recipe'), { maxLength: 3 }).map(items => ({ array: items })) },
    { weight: 2, arbitrary: fc.record({ wrap: fc.constantFrom('proxy', 'getter', 'frozen', 'jsonOf'), of: tie('recipe') }) },
    { weight: 1, arbitrary: fc.record({ trap: fc.constantFrom(...TRAPS), after: fc.nat(3), of: tie('recipe') }) },
    { weight: 1, arbitrary: fc.record({ calls: fc.constantFrom(...CALLS), of: tie('recipe') }) },
  ),
  storable: fc.oneof({ maxDepth: 3, depthIdentifier: 'recipe' },
    { weight: 6, arbitrary: leaves(STORABLE) },
    { weight: 3, arbitrary: fc.array(fc.tuple(key, tie('storable')), { maxLength: 4 }).map(entries => ({ object: entries })) },
    { weight: 1, arbitrary: fc.record({ wrap: fc.constantFrom('proxy', 'getter', 'frozen'), of: tie('storable') }) },
    { weight: 1, arbitrary: fc.record({ calls: fc.constantFrom(...CALLS), of: tie('storable') }) },
  ),
}))

/** The value of a recipe. `world.call(name)` is what re-entrant getters do. */
export function build(recipe, world) {
  if (recipe.leaf) return LEAVES[recipe.leaf].build()
  if (recipe.object) {
    const object = {}
    for (const [name, of] of recipe.object) Object.defineProperty(object, name, { value: build(of, world), enumerable: true, writable: true, configurable: true })
    return object
  }
  if (recipe.array) return recipe.array.map(of => build(of, world))
  if (recipe.wrap) return WRAPS[recipe.wrap](build(recipe.of, world))
  if (recipe.trap) {
    const value = build(recipe.of, world)
    if (!isObject(value)) return value
    let left = recipe.after
    const trap = (...rest) => {
      if (left-- === 0) throw new Own(recipe.trap)
      return Reflect[recipe.trap](...rest)
    }
    return new Proxy(value, { [recipe.trap]: trap })
  }
  const inner = build(recipe.of, world)
  return { get called() { world.call(recipe.calls); return inner } }
}

/** What a value of a recipe comes back as. */
export function expect(recipe) {
  if (recipe.leaf) return LEAVES[recipe.leaf].expect()
  if (recipe.object) {
    const found = {}
    const entries = new Map(recipe.object)
    // Forms that docs/values.md reads in a way of their own, and methods that are called.
    if (entries.has('type') || entries.has('toJSON')) return ANY
    let verdict
    for (const [name, of] of recipe.object) if (entries.get(name) === of) {
      const value = expect(of)
      if (value === ANY) return ANY
      if (value === REFUSED) verdict = REFUSED
      else if (value === ABSENT) continue
      else Object.defineProperty(found, name, { value, enumerable: true, writable: true, configurable: true })
    }
    return verdict ?? found
  }
  if (recipe.array) {
    const items = recipe.array.map(expect)
    if (items.includes(ANY)) return ANY
    return items.includes(REFUSED) || items.includes(ABSENT) ? REFUSED : items
  }
  // Wraps see what is inside of a proxy, and what a getter gives; what their brands say may differ.
  if (recipe.wrap === 'getter') return expect({ object: [['inner', recipe.of]] })
  if (recipe.wrap === 'frozen') return expect(recipe.of)
  if (recipe.wrap) return ANY
  if (recipe.trap) return ANY
  return expect({ object: [['called', recipe.of]] })
}
