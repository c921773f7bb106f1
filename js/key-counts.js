'use strict'

const { binding, port, OVERFLOWED, ticket, lastError, takeOverflow } = require('./port.js')
const { FAMILY_NAMES, OTHER_FAMILY, CREDS } = require('./codec/families.js')

/** What every key starts with. */
const ANY = Buffer.alloc(0)

/**
 * How many committed records an account has, by family, as of one instant.
 * @param {number} account its handle
 * @returns {Map<string, number>}
 */
function keyCounts(account) {
  const answered = binding.keys(port, account, 0, ANY, ticket())
  /** @type {Map<string, number>} */
  const counts = new Map()
  if (answered !== OVERFLOWED) {
    if (answered < 0) throw lastError()
    return counts
  }
  const keys = takeOverflow()
  for (let at = 0; at < keys.length;) {
    const size = keys.readUInt16LE(at)
    const family = familyAt(keys, at + 2)
    if (family !== undefined) counts.set(family, (counts.get(family) ?? 0) + 1)
    at += 2 + size
  }
  return counts
}

/**
 * @param {Buffer} keys
 * @param {number} at where a key begins
 * @returns {string | undefined} nothing for the creds
 */
function familyAt(keys, at) {
  const code = /** @type {number} */ (keys[at])
  if (code === OTHER_FAMILY) return keys.toString('utf8', at + 2, at + 2 + /** @type {number} */ (keys[at + 1]))
  return code === CREDS ? undefined : FAMILY_NAMES.get(code)
}

/**
 * @param {Buffer} keys
 * @param {number} at where a key begins
 * @param {number} end
 */
function keyAt(keys, at, end) {
  const code = /** @type {number} */ (keys[at])
  const idAt = code === OTHER_FAMILY ? at + 2 + /** @type {number} */ (keys[at + 1]) : at + 1
  return { code, family: familyAt(keys, at), id: keys.toString('utf8', idAt, end) }
}

module.exports = { keyCounts, keyAt }
