'use strict'

const { types } = require('node:util')
const { normalizeAppStateKey } = require('../codec/app-state-key.js')
const { Writer } = require('../codec/writer.js')
const { packCreds } = require('../requests.js')

/**
 * Whether what the store gives is what was imported.
 * @param {string} family
 * @param {unknown} stored
 * @param {unknown} imported
 */
function sameRecord(family, stored, imported) {
  if (family !== 'app-state-sync-key') return sameValue(stored, imported)
  const path = () => family
  return sameValue(normalizeAppStateKey(stored, path), normalizeAppStateKey(imported, path))
}

/**
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
function sameValue(a, b) {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (types.isUint8Array(a) || types.isUint8Array(b)) {
    return types.isUint8Array(a) && types.isUint8Array(b) && Buffer.compare(a, b) === 0
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  return keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]))
}

/**
 * Whether something is creds of Baileys: what names an identity is there.
 * @param {any} value
 */
function isCreds(value) {
  return [value?.noiseKey, value?.signedIdentityKey].every((pair) => typeof pair === 'object' && pair !== null && Object.hasOwn(pair, 'private'))
}

/**
 * Why something can be no creds in the store, if so.
 * @param {unknown} value
 * @returns {string | undefined}
 */
function whyNoCreds(value) {
  if (!isCreds(value)) return 'they are no creds of Baileys: noiseKey or signedIdentityKey is missing'
  try {
    packCreds(new Writer(Buffer.allocUnsafe(1024)), value)
    return undefined
  } catch (error) {
    return /** @type {Error} */ (error).message
  }
}

/**
 * Whether creds are of the same identity, at whatever time.
 * @param {any} a
 * @param {any} b
 */
function sameIdentity(a, b) {
  return isCreds(a) && isCreds(b) && sameValue(a.noiseKey, b.noiseKey) && sameValue(a.signedIdentityKey, b.signedIdentityKey)
}

module.exports = { sameRecord, sameValue, whyNoCreds, sameIdentity }
