'use strict'

const { COMMON, KEYED } = require('../command.js')
const { bytesIn, checkIsCask, withCask } = require('../casks.js')
const { size } = require('../words.js')
const { partialOf, watched } = require('./watched.js')

/** @type {import('../command.js').Command} */
const command = {
  name: 'backup',
  summary: 'Copies a cask to a new folder, whole and verified',
  positionals: [
    { name: 'CASK', text: 'Folder of the cask.' },
    { name: 'TARGET', text: 'Folder of the backup, where nothing or an empty folder is.' }
  ],
  options: {
    'hard-links': { text: 'Make second names of the same files: quick and without room, but what damages one damages the other.' },
    ...KEYED,
    ...COMMON
  },
  notes: [
    'A gateway that has the cask open makes its backups with cask.backup(). Old sessions must not be used again: see docs/backup.md before a backup is restored.'
  ],
  examples: [
    { line: 'npx baileys-cask backup ./auth ./backups/today', text: 'A copy that shares no files with the cask.' },
    { line: 'npx baileys-cask backup ./auth ./backups/quick --hard-links', text: 'A quick one, for the time of an upgrade.' }
  ],
  isAbortable: true,
  run: async (context) => {
    const [path = '', target = ''] = context.positionals
    const { 'hard-links': hardLinks = false } = context.options
    checkIsCask(path)
    context.leaves(partialOf(target))
    const report = await withCask(context, path, (cask) => (
      watched(context, { label: 'copying', target, total: bytesIn(path) }, () => cask.backup(target, { hardLinks, signal: context.signal }))
    ))
    return {
      result: report,
      show: (screen) => {
        const { bytes, segments: { linked, cloned, copied } } = report
        screen.line({ style: 'green', text: 'Backed up' }, `: ${size(bytes)} of ${path} to ${target} (segments: ${copied} copied, ${cloned} cloned, ${linked} linked).`)
      }
    }
  }
}

module.exports = { command }
