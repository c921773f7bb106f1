'use strict'

const { COMMON, KEYED } = require('../command.js')
const { EXIT } = require('../exit-codes.js')
const { library } = require('../library.js')
const { counted } = require('../words.js')
const { showDamages, tornText } = require('./damages.js')
const { partialOf } = require('./watched.js')

/** @typedef {import('../../index.js').RepairReport} RepairReport */
/** @typedef {import('../../index.js').RepairedRecord} RepairedRecord */

/** @type {import('../command.js').Command} */
const command = {
  name: 'repair',
  summary: 'Writes everything that is intact in a damaged cask to a new one',
  positionals: [
    { name: 'CASK', text: 'Folder of the damaged cask, which nobody has open. It stays as it is.' },
    { name: 'TARGET', text: 'Folder of the new cask, where nothing or an empty folder is.' }
  ],
  options: {
    doubtful: {
      value: 'WHAT',
      choices: ['omit', 'omit-ratchets', 'keep'],
      text: 'Intact records that may have had a newer version in what is lost: omit them (default), omit-ratchets (sessions and sender keys), keep them.'
    },
    ...KEYED,
    ...COMMON
  },
  notes: [
    'The exit code is 0 where the new cask has everything, and 3 where it is whole but something is lost, left out, or kept in doubt. One that is interrupted leaves nothing of TARGET.'
  ],
  examples: [
    { line: 'npx baileys-cask repair ./auth ./auth-repaired', text: 'Only what is beyond doubt.' },
    { line: 'npx baileys-cask repair ./auth ./auth-linked --doubtful omit-ratchets', text: 'Keep the accounts linked; sessions make themselves anew.' }
  ],
  isAbortable: true,
  run: async (context) => {
    const [path = '', target = ''] = context.positionals
    const { doubtful = 'omit' } = context.options
    context.leaves(partialOf(target))
    const report = await context.keys.unlock(path, (options) => {
      context.progress('repairing')
      return library().repairCask(path, target, { doubtful, signal: context.signal, ...options })
    })
    const accounts = Object.values(report.accounts)
    const isComplete = report.damages.every(({ losesRecords }) => !losesRecords)
      && accounts.every(({ doubtful, omitted, lost }) => doubtful.length + omitted.length + lost.length === 0)
    return {
      exitCode: isComplete ? EXIT.FINE : EXIT.DAMAGE,
      result: { complete: isComplete, ...report },
      show: (screen) => show(screen, { path, target, isComplete }, report)
    }
  }
}

/**
 * @param {import('../terminal/screen.js').Screen} screen
 * @param {{ path: string, target: string, isComplete: boolean }} what
 * @param {RepairReport} report
 */
function show(screen, { path, target, isComplete }, { accounts, damages, tornBytes, tornFrames }) {
  if (isComplete) screen.line({ style: 'green', text: 'Repaired' }, `: ${target} has everything of ${path}.`)
  else screen.line({ style: 'yellow', text: 'Repaired in part' }, `: ${target} has what is intact of ${path}; ${counted(damages.length, 'damage')}.`)
  if (tornBytes > 0) screen.line(tornText(tornBytes, tornFrames))
  const rows = Object.entries(accounts).map(([name, { records, hasCreds, doubtful, omitted, lost }]) => (
    [name, hasCreds ? 'yes' : 'no', records, doubtful.length, omitted.length, lost.length]
  ))
  if (rows.length > 0) {
    screen.table([
      { title: 'ACCOUNT', shrinks: true }, { title: 'CREDS' }, { title: 'KEPT', right: true }, { title: 'IN DOUBT', right: true },
      { title: 'LEFT OUT', right: true }, { title: 'LOST', right: true }
    ], rows)
  }
  for (const [name, { doubtful, omitted, lost }] of Object.entries(accounts)) {
    for (const [what, records] of /** @type {[string, RepairedRecord[]][]} */ ([['in doubt', doubtful], ['left out', omitted], ['lost', lost]])) {
      for (const { type, id } of records) screen.line({ style: 'yellow', text: what }, `: ${name}: ${type} ${id}`)
    }
  }
  showDamages(screen, damages)
}

module.exports = { command }
