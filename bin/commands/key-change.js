'use strict'

const { resolve } = require('node:path')
const { CaskError } = require('../../js/errors.js')
const { COMMON, KEYED } = require('../command.js')
const { library } = require('../library.js')
const { checkSealed } = require('./rewritten.js')

/** @typedef {import('../keys/key-source.js').Key} Key */

/** @type {import('../command.js').Command} */
const command = {
  name: 'key change',
  summary: 'Gives a sealed cask another key',
  positionals: [{ name: 'CASK', text: 'Folder of the sealed cask, which nobody has open.' }],
  options: {
    ...KEYED,
    'new-key-file': { value: 'FILE', text: 'File with the key that it is to have. Without it BAILEYS_CASK_NEW_KEY counts, then a prompt.' },
    ...COMMON
  },
  notes: [
    'One small file is replaced, at once: whenever this is interrupted, exactly one of the two keys opens the cask. Backups keep the key that they were made under.'
  ],
  examples: [
    { line: 'npx baileys-cask key change ./auth-sealed --key-file ./key --new-key-file ./new-key', text: 'Another key, by files.' }
  ],
  run: async (context) => {
    const [path = ''] = context.positionals
    checkSealed(path, true, 'key set seals a copy of it')
    /** @type {Key | undefined} */
    let next
    await context.keys.unlock(path, async ({ encryptionKey }) => {
      // What a cask without a key is asked for.
      if (encryptionKey === undefined) throw new CaskError('ERR_CASK_KEY', `${path} is sealed; its key is needed`, { path })
      next ??= await context.newKeys.chosen(path)
      await library().changeEncryptionKey(path, { encryptionKey, newEncryptionKey: next })
    })
    return {
      result: { path: resolve(path), isSealed: true },
      show: (screen) => screen.line({ style: 'green', text: 'Changed' }, `: ${path} has another key from now on.`)
    }
  }
}

module.exports = { command }
