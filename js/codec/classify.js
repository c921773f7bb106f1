'use strict'

const { types } = require('node:util')

/**
 * Says why an object that is no plain object, no array and no Uint8Array cannot be stored; `undefined` where it can, by
 * `toJSON` or by its own enumerable properties. Looks at brands, not at prototypes, so objects of other contexts are recognised.
 * @param {object} value
 * @returns {string | undefined}
 */
function exotic(value) {
  if (types.isMap(value)) return 'a Map loses its entries; store an object or an array of entries'
  if (types.isSet(value)) return 'a Set loses its members; store an array'
  if (types.isDate(value)) return 'a Date does not come back as one; store a number or a string'
  if (types.isArrayBufferView(value)) return 'of all typed arrays only Uint8Array and Buffer come back; store one of these'
  if (types.isAnyArrayBuffer(value)) return 'an ArrayBuffer does not come back as one; store a Uint8Array'
  if (types.isBoxedPrimitive(value)) return 'a boxed primitive does not come back as one; store the primitive'
  if (types.isNativeError(value) || value instanceof Error) return 'an Error does not come back as one; store its fields'
  if (types.isRegExp(value)) return 'a RegExp does not come back as one; store its source'
  if (types.isPromise(value)) return 'it is a Promise; await it first'
  if (types.isWeakMap(value) || types.isWeakSet(value) || value instanceof WeakRef) return 'weak references cannot be stored; remove it'
  if (types.isKeyObject(value) || types.isCryptoKey(value)) return 'a key object does not come back as one; export its bytes'
  if (types.isGeneratorObject(value) || types.isMapIterator(value) || types.isSetIterator(value)) {
    return 'an iterator cannot be stored; store an array'
  }
  if (types.isExternal(value)) return 'a native handle cannot be stored; remove it'
  return undefined
}

module.exports = { exotic }
