'use strict'

const { COMMON, KEYED } = require('../command.js')
const { checkSealed, rewritten } = require('./rewritten.js')

/** @type {import('../command.js').Command} */
const command = {
  name: 'key remove',
  summary: 'Writes a sealed cask to a new folder, not sealed',
  positionals: [
    { name: 'CASK', text: 'Folder of the sealed cask, which nobody has open. It stays as it is.' },
    { name: 'TARGET', text: 'Folder of the plain one, where nothing or an empty folder is.' }
  ],
  options: { ...KEYED, ...COMMON },
  notes: ['Every record is read back before TARGET has its name. One that is interrupted leaves nothing of TARGET.'],
  examples: [{ line: 'npx baileys-cask key remove ./auth-sealed ./auth-plain --key-file ./new-key', text: 'Back to a plain cask.' }],
  isAbortable: true,
  run: async (context) => {
    const [path = ''] = context.positionals
    checkSealed(path, true, 'there is no key to remove')
    return context.keys.unlock(path, (options) => rewritten(context, 'unsealing', options))
  }
}

module.exports = { command }
