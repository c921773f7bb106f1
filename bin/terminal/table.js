'use strict'

const { shortened, widthOf, wrapped } = require('./width.js')

/**
 * @typedef {object} Column
 * @property {string} title
 * @property {boolean} [right] whether its cells stand at the right, as numbers do
 * @property {boolean} [shrinks] whether its cells may lose their middle where there is little room
 */

const GAP = '  '
/** A column is not made narrower than this. */
const LEAST = 8

/**
 * The lines of a table.
 * @param {readonly Column[]} columns
 * @param {readonly (readonly string[])[]} rows texts that are visible as they are
 * @param {number} [width] columns of the terminal; nothing is shortened without it
 * @returns {string[]} the titles first, where it has them in a line
 */
function tableLines(columns, rows, width) {
  const widths = columns.map(({ title }, i) => Math.max(widthOf(title), ...chunkedMax(rows, i)))
  const sum = () => widths.reduce((total, one) => total + one, GAP.length * (columns.length - 1))
  while (width !== undefined && sum() > width) {
    const widest = columns.reduce((best, { shrinks }, i) => (shrinks && at(widths, i) > Math.max(LEAST, best < 0 ? 0 : at(widths, best)) ? i : best), -1)
    if (widest < 0) return listLines(columns, rows, width)
    widths[widest] = at(widths, widest) - 1
  }
  return [columns.map(({ title }) => title), ...rows].map((row) => row.map((cell, i) => {
    const text = width === undefined ? cell : shortened(cell, at(widths, i))
    const filler = ' '.repeat(at(widths, i) - widthOf(text))
    return columns[i]?.right ? filler + text : text + filler
  }).join(GAP).trimEnd())
}

/**
 * Widest cell of a column. A call cannot have as many arguments as a table may have rows.
 * @param {readonly (readonly string[])[]} rows
 * @param {number} column
 */
function chunkedMax(rows, column) {
  return [rows.reduce((most, row) => Math.max(most, widthOf(row[column] ?? '')), 0)]
}

/**
 * The same where the terminal is too narrow for a table: a line for each cell.
 * @param {readonly Column[]} columns
 * @param {readonly (readonly string[])[]} rows
 * @param {number} width
 */
function listLines(columns, rows, width) {
  return rows.flatMap((row, n) => [
    ...(n > 0 ? [''] : []),
    ...row.flatMap((cell, i) => wrapped(`${columns[i]?.title}: ${cell}`, width))
  ])
}

/**
 * @param {number[]} numbers
 * @param {number} i
 */
function at(numbers, i) {
  return /** @type {number} */ (numbers[i])
}

module.exports = { tableLines }
