'use strict'

/**
 * An empty object to be filled with keys that are data, not names of fields. V8 keeps it as a hash table from the start. A `{}` would
 * instead get a new hidden class for every key never seen before, which costs microseconds each once many such keys have been seen.
 * @template T
 * @returns {Record<string, T>}
 */
function dictionary() {
  return Object.setPrototypeOf(Object.create(null), Object.prototype)
}

module.exports = { dictionary }
