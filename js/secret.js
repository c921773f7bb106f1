'use strict'

const { isUint8Array } = require('node:util/types')
const { wrongType, outOfRange } = require('./errors.js')

const KEY_BYTES = 32
/** What the first byte of a packed secret says of the others. */
const KEY = 0
const PASSPHRASE = 1

/**
 * Checks what seals a cask.
 * @param {string} name
 * @param {any} value
 */
function checkSecret(name, value) {
  if (typeof value === 'string') {
    if (value === '' || !value.isWellFormed()) throw wrongType(name, `${name} is a passphrase that is not empty, or a key of ${KEY_BYTES} bytes`)
  } else if (!isUint8Array(value)) {
    throw wrongType(name, `${name} is a Uint8Array of ${KEY_BYTES} bytes, or a passphrase`)
  } else if (value.length !== KEY_BYTES) {
    throw outOfRange(name, `${name} has ${KEY_BYTES} bytes; a passphrase is given as a string`)
  }
}

/**
 * Refuses a key that is there and undefined, as one from a variable that nobody has set: other options count as absent then, but without a key
 * everything would be written for all to read.
 * @param {unknown} options
 * @param {string} name
 */
function checkNamedSecret(options, name) {
  if (typeof options !== 'object' || options === null || !Object.hasOwn(options, name)) return
  if (/** @type {any} */ (options)[name] === undefined) throw wrongType(name, `${name} is undefined, and nothing would be sealed; where that is meant, leave it out`)
}

/**
 * Gives a checked secret to `use` as the core takes it, and wipes that copy afterwards.
 * @template T
 * @param {string | Uint8Array | undefined} secret
 * @param {(packed: Uint8Array | undefined) => T} use
 * @returns {T}
 */
function withSecret(secret, use) {
  if (secret === undefined) return use(undefined)
  const isPassphrase = typeof secret === 'string'
  // Memory of its own: the pool of small buffers would keep what is wiped here in other places.
  const packed = Buffer.alloc(1 + (isPassphrase ? Buffer.byteLength(secret) : KEY_BYTES))
  try {
    packed[0] = isPassphrase ? PASSPHRASE : KEY
    if (isPassphrase) packed.write(secret, 1)
    else packed.set(secret, 1)
    return use(packed)
  } finally {
    packed.fill(0)
  }
}

module.exports = { checkSecret, checkNamedSecret, withSecret }
