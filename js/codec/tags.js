'use strict'

/**
 * First byte of an encoded value. Part of the format on disk (docs/values.md): a number is never reused.
 * Every form can be decoded without knowing the family.
 */
const TAG = Object.freeze({
  /** The bytes themselves. */
  BYTES: 1,
  /** A string of ASCII characters, one byte each. */
  ASCII: 2,
  /** A string in UTF-8. */
  UTF8: 3,
  /** `{ public, private }`, both bytes. */
  KEY_PAIR: 4,
  /** An LTHash state: `{ version, hash, indexValueMap }`. */
  LT_HASH: 5,
  /** Any value, as a tree of nodes. */
  TREE: 6,
  /** A session as libsignal's `SessionRecord.serialize()` gives it. */
  SESSION: 7
})

/** Type byte of a node in a tree; 0x80 to 0xff are the integers 0 to 127 themselves. */
const NODE = Object.freeze({
  NULL: 0,
  FALSE: 1,
  TRUE: 2,
  INT32: 3,
  DOUBLE: 4,
  ASCII: 5,
  UTF8: 6,
  BYTES: 7,
  ARRAY: 8,
  OBJECT: 9
})

/** Containers inside one another: a value may have this many levels. */
const MAX_DEPTH = 100

module.exports = { TAG, NODE, MAX_DEPTH }
