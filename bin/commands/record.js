'use strict'

const { masked, maskText } = require('../mask.js')
const { escapedInJson } = require('../terminal/visible.js')

/** @typedef {{ account: string, type: string, id: string, isRevealed: boolean, value: unknown }} ShownRecord */

/** Entries of one object that are shown to people, who want to see its form. */
const MOST = 20

/**
 * A record for programs.
 * @param {ShownRecord} record
 */
function recordResult({ value, ...record }) {
  return { ...record, value: record.isRevealed ? revealed(record.type, value) : masked(record.type, value) }
}

/**
 * A record for people.
 * @param {import('../terminal/screen.js').Screen} screen
 * @param {ShownRecord} record
 */
function showRecord(screen, { type, isRevealed, value }) {
  const shown = isRevealed ? revealed(type, value) : masked(type, value, { leaf: maskText, most: MOST })
  screen.text(escapedInJson(JSON.stringify(shown, undefined, 2)))
}

/**
 * A value as it is in a file of Baileys' multi-file store.
 * @param {string} type
 * @param {unknown} value
 */
function revealed(type, value) {
  return JSON.parse(require('../../js/migrate/json.js').textOf(type, value))
}

module.exports = { recordResult, showRecord }
