'use strict'

/**
 * The candidate that a mistyped word was most likely meant to be.
 * @param {string} word
 * @param {Iterable<string>} candidates
 * @returns {string | undefined} nothing where none is near
 */
function nearest(word, candidates) {
  let best
  let least = Math.max(1, Math.floor(Math.min(word.length, 32) / 3)) + 1
  for (const candidate of candidates) {
    // What is far longer or shorter is not near.
    if (Math.abs(candidate.length - word.length) >= least) continue
    const edits = distance(word, candidate)
    if (edits < least) [best, least] = [candidate, edits]
  }
  return best
}

/**
 * How many letters have to be added, removed, replaced or exchanged with the next one (optimal string alignment).
 * @param {string} a
 * @param {string} b
 * @returns {number}
 */
function distance(a, b) {
  /** @type {number[][]} */
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (/** @type {number} */ i, /** @type {number} */ j) => /** @type {number} */ (rows[i]?.[j])
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    rows.push(row)
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, replaced, exchanged))
    }
  }
  return at(a.length, b.length)
}

/**
 * ` (did you mean X?)`, where that can be told.
 * @param {string} word
 * @param {Iterable<string>} candidates
 */
function suggestion(word, candidates) {
  const near = nearest(word, candidates)
  return near === undefined ? '' : `; did you mean ${near}?`
}

module.exports = { nearest, suggestion }
