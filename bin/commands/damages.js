'use strict'

/** @typedef {import('../../index.js').Damage} Damage */

/**
 * @param {import('../terminal/screen.js').Screen} screen
 * @param {readonly Damage[]} damages
 */
function showDamages(screen, damages) {
  for (const { path, offset, message, losesRecords, account, records } of damages) {
    screen.line({ style: 'red', text: 'damaged' }, `: ${path} at ${offset}: ${message}${losesRecords ? ` (records${account === undefined ? '' : ` of ${account}`} are lost)` : ''}`)
    for (const { account, type, id } of records) screen.line(`  ${account}: ${type} ${id}`)
  }
}

/**
 * @param {number} tornBytes
 * @param {number} tornFrames
 */
function tornText(tornBytes, tornFrames) {
  return `A crash has left ${tornBytes} bytes (${tornFrames} whole batches) behind the end of the log; opening cuts them off.`
}

module.exports = { showDamages, tornText }
