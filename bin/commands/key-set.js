'use strict'

const { COMMON } = require('../command.js')
const { checkSealed, rewritten } = require('./rewritten.js')

/** @type {import('../command.js').Command} */
const command = {
  name: 'key set',
  summary: 'Writes a plain cask to a new folder, sealed under a key',
  positionals: [
    { name: 'CASK', text: 'Folder of the plain cask, which nobody has open. It stays as it is.' },
    { name: 'TARGET', text: 'Folder of the sealed one, where nothing or an empty folder is.' }
  ],
  options: {
    'key-file': { value: 'FILE', text: 'File with the key that it is to have: a passphrase, or 32 bytes. Without it BAILEYS_CASK_KEY counts, then a prompt.' },
    ...COMMON
  },
  notes: [
    'Every record is read back before TARGET has its name. A plain cask is not sealed in place, since what a disk has had on it can be found again: remove it, and remember its backups. One that is interrupted leaves nothing of TARGET.'
  ],
  examples: [{ line: 'npx baileys-cask key set ./auth ./auth-sealed --key-file ./key', text: 'A key from: head -c 32 /dev/urandom > key' }],
  isAbortable: true,
  run: async (context) => {
    const [path = '', target = ''] = context.positionals
    checkSealed(path, false, 'key change gives it another key')
    return rewritten(context, 'sealing', { newEncryptionKey: await context.keys.chosen(target) })
  }
}

module.exports = { command }
