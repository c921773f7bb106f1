'use strict'

/** How many names, and of what length, may have a hidden class of their own. */
const MAX_NAMES = 1000
const MAX_NAME_LENGTH = 128

/**
 * An empty object to be filled with keys that are data, not names of fields. V8 keeps it as a hash table from the start. A `{}` would
 * instead get a new hidden class for every key never seen before, which costs microseconds each once many such keys have been seen.
 * @template T
 * @returns {Record<string, T>}
 */
function dictionary() {
  return Object.setPrototypeOf(Object.create(null), Object.prototype)
}

/** What it makes is a `{}` to everybody but V8. */
function Fields() {
  this.a = this.b = undefined
}
Fields.prototype = Object.prototype

/**
 * Like `dictionary`, for a dozen keys. An object that loses a field which is not its last becomes a hash table whose size goes by the
 * fields it had; a `dictionary` would be made larger more often on the way, and takes twice as long.
 * @template T
 * @returns {Record<string, T>}
 */
function roomyDictionary() {
  const made = new /** @type {any} */ (Fields)()
  delete made.a
  delete made.b
  return made
}

/** What it makes is a `{}` to everybody but V8, for which it has hidden classes of its own: those of `{}` are long used up. */
function One() {}
One.prototype = Object.prototype

/** Names that have a hidden class. @type {Set<string>} */
const names = new Set()

/**
 * Like `{ [name]: value }`. The names seen first stay as fast as fields; with more of them than V8 has hidden classes for, every object
 * would cost several times as much as a hash table.
 * @param {string} name
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
function singleEntry(name, value) {
  if (hasHiddenClass(name)) {
    const entry = new /** @type {any} */ (One)()
    entry[name] = value
    return entry
  }
  const entry = Object.create(null)
  entry[name] = value
  return Object.setPrototypeOf(entry, Object.prototype)
}

/** @param {string} name */
function hasHiddenClass(name) {
  if (names.has(name)) return true
  if (names.size === MAX_NAMES || name.length > MAX_NAME_LENGTH || name === '__proto__') return false
  names.add(name)
  return true
}

module.exports = { dictionary, roomyDictionary, singleEntry }
