'use strict'

/**
 * Sets an own property whatever its name; plain assignment would call the setter of `__proto__`.
 * @template T
 * @param {Record<string, T>} target
 * @param {string} key
 * @param {T} value
 */
function setOwn(target, key, value) {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
  } else {
    target[key] = value
  }
}

module.exports = { setOwn }
