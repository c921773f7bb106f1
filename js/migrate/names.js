'use strict'

const { FAMILY_CODES } = require('../codec/families.js')

/** The longest first: a name of `sender-key-memory` also begins like one of `sender-key`. */
const KNOWN = longestFirst([...FAMILY_CODES.keys()])

/** The `-` in a name that was the `:` before the device of an address: users of these servers have no `-` themselves, old groups do. */
const BEFORE_DEVICE = /^([^@-]*)-(\d+@(?:s\.whatsapp\.net|c\.us|lid|hosted|hosted\.lid))$/

/**
 * How Baileys encodes an id in a name, undone. It maps both `/` and `_`, both `:` and `-` to the same; what an id of a family looks like
 * tells them apart.
 * @type {Record<string, (id: string) => string>}
 */
const DECODERS = {
  // `group::user::device`, and a group may be `creator-time@g.us`.
  'sender-key': (id) => id.replaceAll('--', '::'),
  // Base64.
  'app-state-sync-key': (id) => id.replaceAll('__', '/')
}

/** @param {string} id */
const decodeAddress = (id) => id.replace(BEFORE_DEVICE, '$1:$2')

/** @param {readonly string[]} families */
function longestFirst(families) {
  return [...families].sort((a, b) => b.length - a.length)
}

/** @param {string} text */
function encode(text) {
  return text.replaceAll('/', '__').replaceAll(':', '-')
}

/**
 * The name under which Baileys' multi-file store keeps a record, without `.json`. Different records may have the same.
 * @param {string} family
 * @param {string} id
 */
function nameOf(family, id) {
  return encode(`${family}-${id}`)
}

/**
 * Makes a function that tells the record of a name: `family-id` as it is, or as Baileys encodes it. A family that is not known ends at the
 * first `-`.
 * @param {readonly string[]} [families] such as have a `-` and are not known
 * @returns {(name: string) => { family: string, id: string } | undefined} nothing where it names no record
 */
function recordsByName(families = []) {
  const prefixes = families.length === 0
    ? KNOWN.map((family) => ({ family, prefix: `${family}-` }))
    : longestFirst([...new Set([...KNOWN, ...families])]).map((family) => ({ family, prefix: `${encode(family)}-` }))
  return (name) => {
    const found = prefixes.find(({ prefix }) => name.startsWith(prefix))
    if (found) return { family: found.family, id: decoderOf(found.family)(name.slice(found.prefix.length)) }
    const end = name.indexOf('-')
    return end > 0 ? { family: name.slice(0, end), id: name.slice(end + 1) } : undefined
  }
}

/** @param {string} family */
function decoderOf(family) {
  return (Object.hasOwn(DECODERS, family) ? DECODERS[family] : undefined) ?? decodeAddress
}

module.exports = { KNOWN, nameOf, recordsByName }
