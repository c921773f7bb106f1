'use strict'

const { UNFINISHED_FAMILY } = require('../../js/first-creds.js')
const { counted, size } = require('../words.js')
const { inOrder } = require('./families.js')

/** @typedef {import('../../index.js').Cask} Cask */
/** @typedef {import('../../js/value-sizes.js').Measured} Measured */
/** @typedef {{ family: string, records: number, bytes: number }} FamilyOverview */
/**
 * @typedef {object} AccountOverview
 * @property {string} name
 * @property {{ bytes: number } | null} creds
 * @property {boolean} hasUnfinishedImport
 * @property {number} records creds not counted
 * @property {number} bytes those of the creds included
 * @property {FamilyOverview[]} families
 */

/** @typedef {{ creds: { bytes: number } | null, families: Map<string, FamilyOverview> }} Found */

/** Records after which the progress is told anew. */
const STEP = 256

/**
 * Goes through every value of some accounts.
 * @param {import('../command.js').Context} context
 * @param {Cask} cask
 * @param {readonly string[]} names
 * @param {(account: string, measured: Measured) => void} visit
 */
async function measure(context, cask, names, visit) {
  // Loads the addon, which help has to do without.
  const { insideOf } = require('../../js/account-brand.js')
  const insides = names.map((name) => /** @type {import('../../js/account-brand.js').Inside} */ (insideOf(cask.account(name))))
  let total = 0
  for (const inside of insides) for (const count of inside.counts().values()) total += count
  const progress = context.progress('reading')
  let done = 0
  for (const [i, inside] of insides.entries()) {
    for await (const measured of inside.sizes()) {
      visit(/** @type {string} */ (names[i]), measured)
      if (++done % STEP === 0) progress.update({ done, total: Math.max(total, done) })
    }
  }
}

/**
 * @param {import('../command.js').Context} context
 * @param {Cask} cask
 * @param {readonly string[]} names
 * @returns {Promise<AccountOverview[]>}
 */
async function overview(context, cask, names) {
  /** @type {Map<string, Found>} */
  const found = new Map(names.map((name) => [name, { creds: null, families: new Map() }]))
  await measure(context, cask, names, (name, { family, bytes }) => {
    const account = /** @type {Found} */ (found.get(name))
    if (family === undefined) account.creds = { bytes }
    else {
      const { records, bytes: sum } = account.families.get(family) ?? { records: 0, bytes: 0 }
      account.families.set(family, { family, records: records + 1, bytes: sum + bytes })
    }
  })
  return [...found].map(([name, { creds, families }]) => {
    const shown = inOrder(families.keys()).filter((family) => family !== UNFINISHED_FAMILY).map((family) => /** @type {FamilyOverview} */ (families.get(family)))
    return {
      name,
      creds,
      hasUnfinishedImport: families.has(UNFINISHED_FAMILY),
      records: shown.reduce((sum, { records }) => sum + records, 0),
      bytes: shown.reduce((sum, { bytes }) => sum + bytes, creds?.bytes ?? 0),
      families: shown
    }
  })
}

/**
 * @param {import('../terminal/screen.js').Screen} screen
 * @param {{ path: string | undefined, diskBytes: number, accounts: readonly AccountOverview[] }} cask
 */
function showOverview(screen, { path, diskBytes, accounts }) {
  const records = accounts.reduce((sum, account) => sum + account.records, 0)
  const bytes = accounts.reduce((sum, account) => sum + account.bytes, 0)
  screen.line(`${path}: ${counted(accounts.length, 'account')}, ${counted(records, 'record')}, ${size(bytes)} of values, ${size(diskBytes)} on disk`)
  const rows = accounts.flatMap(({ name, creds, families }) => [
    ...(creds ? [[name, 'creds', 1, creds.bytes]] : []),
    ...families.map(({ family, records, bytes }) => [name, family, records, bytes])
  ])
  if (rows.length > 0) {
    screen.table([
      { title: 'ACCOUNT', shrinks: true }, { title: 'FAMILY', shrinks: true }, { title: 'RECORDS', right: true }, { title: 'BYTES', right: true }
    ], rows)
  }
  for (const { name, creds, hasUnfinishedImport } of accounts) {
    if (hasUnfinishedImport) screen.line({ style: 'yellow', text: 'unfinished' }, `: an import into account ${name} has not ended; run it again`)
    else if (!creds) screen.line({ style: 'yellow', text: 'no creds' }, `: account ${name} has records, and cannot be used`)
  }
}

module.exports = { measure, overview, showOverview }
