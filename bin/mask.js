'use strict'

const { types } = require('node:util')
const { setOwn } = require('../js/codec/set-own.js')

/** What is in the place of a value that is not to be seen. @typedef {{ masked: string, length?: number }} Mask */

/**
 * Where values lie that are no secrets, by family: numbers, times, names of accounts and devices. Everything else is masked, so
 * what a later Baileys adds is as well. `*` stands for any one name; an empty path for the whole value.
 * @type {Record<string, readonly string[]>}
 */
const SHOWN = {
  creds: [
    'accountSettings.unarchiveChats', 'accountSyncCounter', 'firstUnuploadedPreKeyId', 'lastAccountSyncTimestamp', 'me.id', 'me.lid', 'nextPreKeyId',
    'platform', 'registered', 'registrationId', 'signedPreKey.keyId'
  ],
  session: [
    'version', '_sessions.*.registrationId', '_sessions.*.indexInfo.created', '_sessions.*.indexInfo.used', '_sessions.*.indexInfo.closed',
    '_sessions.*.indexInfo.baseKeyType', '_sessions.*.currentRatchet.previousCounter', '_sessions.*._chains.*.chainType', '_sessions.*._chains.*.chainKey.counter'
  ],
  'sender-key-memory': ['*'],
  'app-state-sync-key': ['fingerprint.rawId', 'fingerprint.currentIndex', 'fingerprint.deviceIndexes.*', 'timestamp', 'timestamp.low', 'timestamp.high', 'timestamp.unsigned'],
  'app-state-sync-version': ['version'],
  'lid-mapping': [''],
  'device-list': ['*'],
  tctoken: ['timestamp', 'senderTimestamp'],
  'pre-key': [],
  'sender-key': [],
  'identity-key': []
}

/** Names of fields, and counters. Others, such as the base64 of a key by which a session keeps its chains, say something of a value. */
const FIELD = /^([A-Za-z_][A-Za-z0-9_]{0,31}|[0-9]{1,10})$/
/** In this family names are those of devices. */
const NAMED_BY_DEVICE = 'sender-key-memory'
/** No text that may be shown is longer. */
const LONGEST_TEXT = 128

/**
 * A value without its secrets: as it is where that is known to be harmless, else its kind and length.
 * @param {string} family `creds` for creds
 * @param {unknown} value
 * @param {object} [options]
 * @param {(mask: Mask) => unknown} [options.leaf] what to put in the place of a secret
 * @param {number} [options.most] entries of an object or an array that are gone into
 */
function masked(family, value, { leaf = (mask) => mask, most = Infinity } = {}) {
  const patterns = Object.hasOwn(SHOWN, family) ? /** @type {readonly string[]} */ (SHOWN[family]).map((path) => (path === '' ? [] : path.split('.'))) : undefined
  /**
   * @param {any} value
   * @param {string[]} path
   * @returns {unknown}
   */
  const visit = (value, path) => {
    if (value === null || value === undefined) return value
    if (types.isUint8Array(value)) return leaf({ masked: 'bytes', length: value.length })
    if (typeof value !== 'object') return isShown(value, path, patterns) ? value : leaf(maskOf(value))
    if (!patterns) return leaf({ masked: Array.isArray(value) ? 'array' : 'object', length: Object.keys(value).length })
    if (Array.isArray(value)) {
      const items = value.slice(0, most).map((item, i) => visit(item, [...path, String(i)]))
      return value.length > most ? [...items, leaf({ masked: 'items', length: value.length - most })] : items
    }
    /** @type {Record<string, unknown>} */
    const copy = {}
    const entries = Object.entries(value)
    for (const [i, [key, item]] of entries.slice(0, most).entries()) {
      const name = FIELD.test(key) || family === NAMED_BY_DEVICE ? key : `<name ${i + 1}, ${key.length} characters>`
      setOwn(copy, name, visit(item, [...path, key]))
    }
    if (entries.length > most) setOwn(copy, '...', leaf({ masked: 'entries', length: entries.length - most }))
    return copy
  }
  return visit(value, [])
}

/**
 * @param {unknown} value
 * @param {string[]} path
 * @param {string[][] | undefined} patterns
 */
function isShown(value, path, patterns) {
  if (!patterns || (typeof value === 'string' && value.length > LONGEST_TEXT)) return false
  return patterns.some((pattern) => pattern.length === path.length && pattern.every((part, i) => part === '*' || part === path[i]))
}

/**
 * @param {unknown} value
 * @returns {Mask}
 */
function maskOf(value) {
  return typeof value === 'string' ? { masked: 'text', length: value.length } : { masked: typeof value }
}

/**
 * A mask in words.
 * @param {Mask} mask
 */
function maskText({ masked, length }) {
  if (length === undefined) return `<${masked}>`
  return masked === 'text' ? `<text, ${length} characters>` : masked === 'bytes' ? `<${length} bytes>` : masked === 'object' || masked === 'array' ? `<${masked} of ${length}>` : `<${length} more>`
}

module.exports = { masked, maskText }
