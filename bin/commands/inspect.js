'use strict'

const { ACCOUNT, COMMON, KEYED } = require('../command.js')
const { bytesIn, checkAccount, checkIsCask, refusal, withCask } = require('../casks.js')
const { UsageError } = require('../usage-error.js')
const { measure, overview, showOverview } = require('./overview.js')
const { showRecord, recordResult } = require('./record.js')

/** @typedef {import('../../index.js').Cask} Cask */
/** @typedef {import('../command.js').Context} Context */

/** @type {import('../command.js').Command} */
const command = {
  name: 'inspect',
  summary: 'Tells what a cask holds: accounts, families, numbers of records, bytes; or one record',
  positionals: [{ name: 'CASK', text: 'Folder of the cask.' }],
  options: {
    account: { ...ACCOUNT, text: 'Only this account.' },
    family: { value: 'NAME', text: 'The ids of one family of the account.' },
    id: { value: 'ID', text: 'One record of that family, without its secrets.' },
    creds: { text: 'The creds of the account, without their secrets.' },
    reveal: { text: 'Print that record or those creds with all keys in them, as Baileys writes them to a file.' },
    ...KEYED,
    ...COMMON
  },
  notes: [
    'Of a value only numbers, times and names of accounts and devices are shown that are known to be harmless; of everything else its kind and length. Bytes are those of the encoded values, before anything else that is on disk.'
  ],
  examples: [
    { line: 'npx baileys-cask inspect ./auth', text: 'What is there?' },
    { line: 'npx baileys-cask inspect ./auth --account shop-17 --family session', text: 'Ids of its sessions.' },
    { line: 'npx baileys-cask inspect ./auth --account shop-17 --family session --id 15550100002.0', text: 'One of them.' },
    { line: 'npx baileys-cask inspect ./auth --account shop-17 --creds --json', text: 'The account itself, for a script.' }
  ],
  run: async (context) => {
    const [path = ''] = context.positionals
    checkCombination(context.options)
    checkIsCask(path)
    return withCask(context, path, async (cask) => {
      const { account, family, id, creds } = context.options
      if (account !== undefined) await checkAccount(cask, account)
      if (creds || id !== undefined) return oneRecord(cask, context.options)
      if (family !== undefined) return idsOf(context, cask, account, family)
      return everything(context, cask, path, account)
    })
  }
}

/** @param {Record<string, any>} options */
function checkCombination({ account, family, id, creds, reveal }) {
  const refuse = (/** @type {string} */ message) => new UsageError(message, 'inspect')
  if (creds && (family !== undefined || id !== undefined)) throw refuse('--creds does not go with --family and --id')
  if (id !== undefined && family === undefined) throw refuse('--id needs --family')
  if (family !== undefined && account === undefined) throw refuse('--family needs --account')
  if (creds && account === undefined) throw refuse('--creds needs --account')
  if (reveal && !creds && id === undefined) throw refuse('--reveal needs --id or --creds: it is for one record')
}

/**
 * @param {Cask} cask
 * @param {Record<string, any>} options
 */
async function oneRecord(cask, { account: name, family = 'creds', id = '', creds = false, reveal = false }) {
  const account = cask.account(name)
  const found = creds ? {} : await account.keys.get(family, [id])
  const value = creds ? await account.loadCreds() : Object.hasOwn(found, id) ? found[id] : undefined
  if (value === undefined) throw refusal(`account ${name} has no ${creds ? 'creds' : `record ${id} of ${family}`}`, { account: name })
  const record = { account: name, type: family, id, isRevealed: reveal, value }
  return { result: recordResult(record), show: (/** @type {import('../terminal/screen.js').Screen} */ screen) => showRecord(screen, record) }
}

/**
 * @param {Context} context
 * @param {Cask} cask
 * @param {string} account
 * @param {string} family
 */
async function idsOf(context, cask, account, family) {
  const records = /** @type {{ id: string, bytes: number }[]} */ ([])
  await measure(context, cask, [account], (_, measured) => {
    if (measured.family === family) records.push({ id: measured.id, bytes: measured.bytes })
  })
  records.sort((a, b) => (a.id < b.id ? -1 : 1))
  return {
    result: { account, family, records },
    show: (/** @type {import('../terminal/screen.js').Screen} */ screen) => (
      screen.table([{ title: 'ID', shrinks: true }, { title: 'BYTES', right: true }], records.map(({ id, bytes }) => [id, bytes]))
    )
  }
}

/**
 * @param {Context} context
 * @param {Cask} cask
 * @param {string} path
 * @param {string | undefined} account
 */
async function everything(context, cask, path, account) {
  const names = account === undefined ? (await cask.accounts()).sort() : [account]
  const accounts = await overview(context, cask, names)
  const result = { path: cask.path, diskBytes: bytesIn(path), accounts }
  return { result, show: (/** @type {import('../terminal/screen.js').Screen} */ screen) => showOverview(screen, result) }
}

module.exports = { command }
