'use strict'

const { resolve } = require('node:path')
const { ACCOUNT, COMMON, KEYED } = require('../command.js')
const { checkAccount, checkIsCask, withCask } = require('../casks.js')
const { library } = require('../library.js')
const { counted } = require('../words.js')
const { showFamilies, totalOf } = require('./families.js')

/** @type {import('../command.js').Command} */
const command = {
  name: 'export',
  summary: 'Writes an account to a folder from which useMultiFileAuthState goes on',
  positionals: [
    { name: 'CASK', text: 'Folder of the cask.' },
    { name: 'FOLDER', text: 'Folder to write, where nothing or an empty folder is.' }
  ],
  options: {
    account: ACCOUNT,
    replace: { text: 'Take the place of a folder of a multi-file store that is there.' },
    ...KEYED,
    ...COMMON
  },
  notes: [
    'The folder has its name when it is whole and on disk. Never run a socket on both: a ratchet turns only once. Its files are as readable as those of Baileys are: they are not sealed.'
  ],
  examples: [
    { line: 'npx baileys-cask export ./auth ./auth_info_back', text: 'Back to Baileys\' own store.' },
    { line: 'npx baileys-cask export ./auth ./auth_info_back --account shop-17 --replace', text: 'The same again, from another account.' }
  ],
  isAbortable: true,
  run: async (context) => {
    const [path = '', folder = ''] = context.positionals
    const { account = 'default', replace = false } = context.options
    checkIsCask(path)
    context.leaves(`${resolve(folder)}.partial-`)
    const { records } = await withCask(context, path, async (cask) => {
      await checkAccount(cask, account)
      const progress = context.progress('exporting')
      return library().exportMultiFile(cask.account(account), folder, { replace, signal: context.signal, onProgress: (done) => progress.update(done) })
    })
    return {
      result: { account, records },
      show: (screen) => {
        screen.line({ style: 'green', text: 'Exported' }, `: ${counted(totalOf(records), 'record')} and the creds of account ${account} are in ${folder}.`)
        showFamilies(screen, records)
      }
    }
  }
}

module.exports = { command }
