'use strict'

const { FAMILY_CODES } = require('../../js/codec/families.js')

/** @param {Record<string, number>} records */
function totalOf(records) {
  return Object.values(records).reduce((sum, count) => sum + count, 0)
}

/**
 * Names of families: those of Baileys in its order, then the others.
 * @param {Iterable<string>} names
 */
function inOrder(names) {
  const known = [...FAMILY_CODES.keys()]
  const rank = (/** @type {string} */ name) => (known.includes(name) ? known.indexOf(name) : known.length)
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}

/**
 * @param {import('../terminal/screen.js').Screen} screen
 * @param {Record<string, number>} records
 */
function showFamilies(screen, records) {
  const rows = inOrder(Object.keys(records)).map((family) => [family, /** @type {number} */ (records[family])])
  if (rows.length > 0) screen.table([{ title: 'FAMILY', shrinks: true }, { title: 'RECORDS', right: true }], rows)
}

module.exports = { totalOf, inOrder, showFamilies }
