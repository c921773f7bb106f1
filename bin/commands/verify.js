'use strict'

const { COMMON, KEYED } = require('../command.js')
const { EXIT } = require('../exit-codes.js')
const { library } = require('../library.js')
const { counted } = require('../words.js')
const { showDamages, tornText } = require('./damages.js')

/** @type {import('../command.js').Command} */
const command = {
  name: 'verify',
  summary: 'Looks for damage in a cask that nobody has open; changes nothing',
  positionals: [{ name: 'CASK', text: 'Folder of the cask, or of a backup.' }],
  options: { ...KEYED, ...COMMON },
  notes: ['Everything is read, and every check on it is made. The exit code is 3 where anything is damaged.'],
  examples: [
    { line: 'npx baileys-cask verify ./auth', text: 'Is everything there?' },
    { line: 'npx baileys-cask verify ./backups/today --json', text: 'For a script: .result.ok and .result.damages.' }
  ],
  run: async (context) => {
    const [path = ''] = context.positionals
    const report = await context.keys.unlock(path, (options) => {
      context.progress('verifying')
      return library().verifyCask(path, options)
    })
    return {
      exitCode: report.ok ? EXIT.FINE : EXIT.DAMAGE,
      result: report,
      show: (screen) => show(screen, path, report)
    }
  }
}

/**
 * @param {import('../terminal/screen.js').Screen} screen
 * @param {string} path
 * @param {import('../../index.js').VerifyReport} report
 */
function show(screen, path, { ok, segments, frames, accounts, tornBytes, tornFrames, hasFailedSync, damages }) {
  const looked = `${counted(segments, 'segment')} with ${counted(frames, 'frame')}`
  if (ok) screen.line({ style: 'green', text: 'Intact' }, `: ${path}: ${looked}.`)
  else screen.line({ style: 'red', text: 'Damaged' }, `: ${path}: ${counted(damages.length, 'damage')} in ${looked}.`)
  if (tornBytes > 0) screen.line(tornText(tornBytes, tornFrames))
  if (hasFailedSync) screen.line('A sync has failed when it was last open; opening writes its newest batches again.')
  const rows = Object.entries(accounts).map(([name, { records, hasCreds, doubtful }]) => [name, hasCreds ? 'yes' : 'no', records, doubtful])
  if (rows.length > 0) {
    screen.table([{ title: 'ACCOUNT', shrinks: true }, { title: 'CREDS' }, { title: 'RECORDS', right: true }, { title: 'IN DOUBT', right: true }], rows)
  }
  showDamages(screen, damages)
  if (!ok) screen.line('repair writes what is intact to a new folder: npx baileys-cask repair --help')
}

module.exports = { command }
