'use strict'

const { existsSync } = require('node:fs')
const { join, resolve } = require('node:path')
const { CaskError } = require('../../js/errors.js')
const { bytesIn, checkIsCask } = require('../casks.js')
const { library } = require('../library.js')
const { counted } = require('../words.js')
const { partialOf, watched } = require('./watched.js')

/** @typedef {import('../command.js').Context} Context */
/** @typedef {import('../keys/key-source.js').Key} Key */

/** What a folder has if its cask is sealed, and only then. */
const KEY_SLOT = 'key'

/**
 * Refuses a cask that is sealed or not before anybody is asked for a passphrase of it.
 * @param {string} path
 * @param {boolean} isSealed what it is to be
 * @param {string} message what else to do
 */
function checkSealed(path, isSealed, message) {
  checkIsCask(path)
  if (existsSync(join(path, KEY_SLOT)) !== isSealed) throw new CaskError('ERR_CASK_KEY', `${path} is ${isSealed ? 'not sealed' : 'sealed already'}; ${message}`, { path })
}

/**
 * Writes a cask to a new folder, under another key or none.
 * @param {Context} context
 * @param {string} label
 * @param {{ encryptionKey?: Key, newEncryptionKey?: Key }} options
 * @returns {Promise<import('../command.js').Outcome>}
 */
async function rewritten(context, label, options) {
  const [path = '', target = ''] = context.positionals
  context.leaves(partialOf(target))
  const { accounts } = await watched(context, { label, target, total: bytesIn(path) }, () => library().rewriteCask(path, target, { ...options, signal: context.signal }))
  const isSealed = options.newEncryptionKey !== undefined
  return {
    result: { path: resolve(target), isSealed, accounts },
    show: (screen) => {
      const records = Object.values(accounts).reduce((sum, account) => sum + account.records, 0)
      const what = `${counted(Object.keys(accounts).length, 'account')} with ${counted(records, 'record')}`
      screen.line({ style: 'green', text: isSealed ? 'Sealed' : 'Unsealed' }, `: ${what} of ${path} are in ${target}, and were read back. Remove ${path} and its backups, and use ${target} from now on.`)
    }
  }
}

module.exports = { checkSealed, rewritten }
