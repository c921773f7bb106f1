'use strict'

const lengthGetter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length')?.get

/**
 * The real number of bytes of a Uint8Array; its `length` property may have been overridden.
 * @type {(bytes: Uint8Array) => number}
 */
const byteLength = Function.prototype.call.bind(/** @type {() => number} */ (lengthGetter))

/**
 * Whether the memory of bytes is not there any more: it was handed to another thread, or shrunk. They look empty then.
 * @param {Uint8Array} bytes
 */
function isGone(bytes) {
  if (byteLength(bytes) > 0) return false
  try {
    return new Uint8Array(bytes).length > 0
  } catch {
    return true
  }
}

module.exports = { byteLength, isGone }
