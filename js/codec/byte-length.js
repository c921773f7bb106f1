'use strict'

const lengthGetter = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length')?.get

/**
 * The real number of bytes of a Uint8Array; its `length` property may have been overridden.
 * @type {(bytes: Uint8Array) => number}
 */
const byteLength = Function.prototype.call.bind(/** @type {() => number} */ (lengthGetter))

module.exports = { byteLength }
