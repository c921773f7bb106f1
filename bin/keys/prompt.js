'use strict'

const { createInterface } = require('node:readline')
const { Writable } = require('node:stream')
const { visible } = require('../terminal/visible.js')

/**
 * Asks at a terminal for something that is not to be seen. Node.js' line editor reads it, in raw mode, and writes to nowhere.
 * @param {object} at
 * @param {NodeJS.ReadStream} at.stdin a terminal
 * @param {NodeJS.WriteStream} at.stderr
 * @param {() => void} at.onInterrupt called for Ctrl-C, which the terminal does not turn into a signal meanwhile
 * @param {string} question
 * @returns {Promise<string>} not empty
 */
function askHidden({ stdin, stderr, onInterrupt }, question) {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  return new Promise((resolve, reject) => {
    // A passphrase has no place in a history.
    const editor = createInterface({ input: stdin, output: nowhere, terminal: true, historySize: 0 })
    // Only now: what is typed after the question is not echoed any more.
    stderr.write(visible(question))
    let answer = /** @type {string | undefined} */ (undefined)
    editor.on('SIGINT', () => {
      editor.close()
      onInterrupt()
    })
    editor.on('line', (line) => {
      answer = line
      editor.close()
    })
    editor.on('close', () => {
      stderr.write('\n')
      if (answer) resolve(answer)
      else reject(Object.assign(new Error('no passphrase was given'), { code: 'ERR_CASK_KEY' }))
    })
  })
}

module.exports = { askHidden }
