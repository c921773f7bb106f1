'use strict'

const { resolve } = require('node:path')
const { ACCOUNT, COMMON, KEYED } = require('../command.js')
const { whatIsAt, withCask } = require('../casks.js')
const { EXIT } = require('../exit-codes.js')
const { library } = require('../library.js')
const { counted } = require('../words.js')
const { showFamilies, totalOf } = require('./families.js')

/** @typedef {import('../../index.js').ImportResult} ImportResult */
/** @typedef {import('../terminal/screen.js').Screen} Screen */

/** @type {import('../command.js').Command} */
const command = {
  name: 'import',
  summary: 'Brings the folder of useMultiFileAuthState into an account of a cask',
  positionals: [
    { name: 'FOLDER', text: 'Folder of Baileys\' multi-file store. It is never changed.' },
    { name: 'CASK', text: 'Folder of the cask; made where there is none.' }
  ],
  options: {
    account: ACCOUNT,
    'dry-run': { text: 'Read and check everything, and write nothing.' },
    'skip-failed': { text: 'Leave out values that cannot be imported. Creds and files that change meanwhile are not left out.' },
    family: { value: 'NAME', isList: true, text: 'Family with a - in its name that Baileys does not know; may be given again.' },
    ...KEYED,
    ...COMMON
  },
  notes: [
    'Stop the socket on the folder first. The account is whole or cannot be used: what was interrupted is completed by the same command again. Where a file is not whole, nothing of the account can be used, and the exit code is 3.'
  ],
  examples: [
    { line: 'npx baileys-cask import ./auth_info_baileys ./auth --dry-run', text: 'Have a look first.' },
    { line: 'npx baileys-cask import ./auth_info_baileys ./auth --account shop-17', text: 'One of many accounts of a cask.' }
  ],
  isAbortable: true,
  run: async (context) => {
    const [from = '', into = ''] = context.positionals
    const { account = 'default', 'dry-run': dryRun = false, 'skip-failed': skipFailed = false, family: families = [] } = context.options
    // A folder that is none of Baileys' is refused before there is a cask for it.
    await require('../../js/migrate/folder.js').listAuthFolder(resolve(from), families)
    // Even an empty cask would be something written.
    const isInMemory = dryRun && whatIsAt(into) === 'nothing'
    const result = await withCask(context, isInMemory ? undefined : into, (cask) => {
      const progress = context.progress(dryRun ? 'checking' : 'importing')
      const options = { dryRun, skipFailed, families, signal: context.signal, onProgress: (/** @type {any} */ done) => progress.update(done) }
      return library().importMultiFile(from, cask.account(account), options)
    })
    return {
      exitCode: result.complete ? EXIT.FINE : EXIT.DAMAGE,
      result: { account, ...result },
      show: (screen) => show(screen, { account, into }, result)
    }
  }
}

/**
 * @param {Screen} screen
 * @param {{ account: string, into: string }} target
 * @param {ImportResult} result
 */
function show(screen, target, result) {
  screen.line(...headline(target, result))
  showFamilies(screen, result.records)
  const { failed, recovered, ignored } = result
  for (const { file, type, id, reason, message } of failed) {
    screen.line({ style: result.complete ? 'yellow' : 'red', text: result.complete ? 'left out' : 'failed' }, `: ${file ?? `${type} ${id}`}: ${reason}: ${message}`)
  }
  for (const file of recovered) screen.line({ style: 'yellow', text: 'recovered' }, `: ${file}: its backup was taken`)
  for (const file of ignored) screen.line({ style: 'dim', text: 'ignored' }, `: ${file}: no value of Baileys`)
}

/**
 * @param {{ account: string, into: string }} target
 * @param {ImportResult} result
 * @returns {import('../terminal/screen.js').Piece[]}
 */
function headline({ account, into }, { complete, present, creds, dryRun, records, failed }) {
  if (present) return [{ style: 'green', text: 'Whole already' }, `: account ${account} of ${into} has this identity; nothing was written.`]
  const what = `${counted(totalOf(records), 'record')}${creds ? ' and the creds' : ''}`
  if (!complete) {
    const why = counted(failed.length, 'value')
    return dryRun
      ? [{ style: 'red', text: 'Not whole' }, `: ${why} cannot be imported. Nothing was written.`]
      : [{ style: 'red', text: 'Not imported' }, `: ${why} cannot be. Account ${account} of ${into} cannot be used; correct them, or leave them out with --skip-failed, and run this again.`]
  }
  if (dryRun) return [{ style: 'green', text: 'Whole' }, `: ${what} can be imported. Nothing was written.`]
  return [{ style: 'green', text: 'Imported' }, `: ${what} are in account ${account} of ${into}.`]
}

module.exports = { command }
