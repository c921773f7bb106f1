'use strict'

const { insideOf } = require('./account-brand.js')
const { isCask, storeOf, whenClosed, checkAccountName } = require('./cask.js')
const { shared, runInside } = require('./context.js')
const { CaskError, sayOf, wrongType } = require('./errors.js')
const { FIRST_CREDS, checkFinished } = require('./first-creds.js')
const { freshCreds } = require('./fresh-creds.js')
const { importMultiFile, incompleteError } = require('./migrate/import-multi-file.js')
const { openCask } = require('./open.js')
const { checkOptions } = require('./options.js')
const { checkFolder } = require('./migrate/checks.js')

/** @typedef {import('../index.js').AuthState} AuthState */
/** @typedef {import('../index.js').AuthStateOptions} AuthStateOptions */
/** @typedef {import('../index.js').Cask} Cask */

/**
 * Where the creds of an account come from that has none.
 * @typedef {object} Source
 * @property {AuthStateOptions['baileys']} baileys
 * @property {string | undefined} importFrom
 */

/**
 * The state that gives a cask's handle back: the newest, which has taken it over from those whose account was dropped.
 */
const OWNER = Symbol.for('baileys-cask.owner')

/**
 * Takes the place of Baileys' `useMultiFileAuthState`. The same path and account give the same state until it is closed:
 * bots call this again on every reconnect.
 * @param {string | Cask} target
 * @param {AuthStateOptions} [options]
 * @returns {Promise<AuthState>}
 */
async function useCaskAuthState(target, options) {
  if (options !== undefined && (typeof options !== 'object' || options === null || Array.isArray(options))) {
    throw wrongType('options', 'options are an object')
  }
  const { account = 'default', importFrom, ...caskOptions } = options ?? {}
  checkAccountName(account, 'account')
  if (importFrom !== undefined) checkFolder(importFrom, 'importFrom')
  if (isCask(target)) {
    if (Object.keys(caskOptions).some((name) => name !== 'baileys')) {
      throw wrongType('options', 'an open cask has its settings; beside it only account, baileys and importFrom are options')
    }
    return share(target, account, { baileys: checkOptions(caskOptions, ['baileys']).baileys, importFrom })
  }
  if (typeof target !== 'string' || target === '') throw wrongType('target', 'target is the path of a folder, or an open cask')
  if ('path' in caskOptions || 'name' in caskOptions) throw wrongType('options', 'the target says where the cask is; leave path and name out')
  const open = () => sayOf(openCask({ ...caskOptions, path: target }), 'path', 'target')
  return share(await open(), account, { baileys: caskOptions.baileys, importFrom }, open)
}

/**
 * @param {Cask} cask
 * @param {string} name
 * @param {Source} source
 * @param {() => Promise<Cask>} [open] gives another handle like this one, where it belongs to the state: closing that gives it back
 * @returns {Promise<AuthState>}
 */
async function share(cask, name, source, open) {
  const owned = open !== undefined
  const states = owned ? shared.states : statesOf(cask)
  // Keyed by store, so a folder that was removed and made anew under the same path has a state of its own.
  const key = owned ? `${storeOf(cask)}/${name}` : name
  for (let present = states.get(key); present; present = states.get(key)) {
    const state = await present.catch(() => undefined)
    const account = state && accountOf(state.cask, name)
    if (state && owned && account && state.cask !== cask) {
      // One handle for all, also where the account was dropped since: whoever closes the state gives everything back.
      await cask.close()
      cask = state.cask
      // Whoever has that state may have closed it meanwhile.
      if (!accountOf(cask, name)) return share(await open(), name, source, open)
    }
    if (state && state.account === account) return state
    if (states.get(key) === present) states.delete(key)
  }
  const forget = () => {
    if (states.get(key) === made) states.delete(key)
  }
  const made = make(cask, name, source, owned, forget)
  states.set(key, made)
  try {
    return await made
  } catch (error) {
    forget()
    if (owned) await cask.close()
    throw error
  }
}

/**
 * The states made on a cask that was handed in: they end with that handle.
 * @param {Cask} cask
 * @returns {Map<string, Promise<AuthState>>}
 */
function statesOf(cask) {
  let states = shared.statesByCask.get(cask)
  if (!states) shared.statesByCask.set(cask, (states = new Map()))
  return states
}

/**
 * The account of a cask that is open.
 * @param {Cask} cask
 * @param {string} name
 */
function accountOf(cask, name) {
  try {
    return cask.account(name)
  } catch {
    return undefined
  }
}

/**
 * @param {Cask & { [OWNER]?: object }} cask
 * @param {string} name
 * @param {Source} source
 * @param {boolean} owned
 * @param {() => void} forget
 * @returns {Promise<AuthState>}
 */
async function make(cask, name, source, owned, forget) {
  const account = cask.account(name)
  const present = await account.loadCreds()
  if (present) await runInside(undefined, () => checkFinished(name, account.keys))
  if (present && source.importFrom !== undefined) tellIfNeverLinked(account, present, source.importFrom)
  const creds = present ?? (await importedCreds(account, source.importFrom)) ?? (await firstCreds(cask, account, source.baileys))
  const state = { creds, keys: account.keys }
  // Whoever closes the cask by itself has no use for its states either.
  if (owned) {
    whenClosed(cask, forget)
    cask[OWNER] = state
  }
  return {
    state,
    saveCreds: () => account.saveCreds(state.creds),
    cask,
    account,
    close: async () => {
      forget()
      if (owned && cask[OWNER] === state) await cask.close()
    }
  }
}

/**
 * An import into an account that has creds is done with. But where those were never linked, more likely somebody has started without the import.
 * @param {import('../index.js').Account} account
 * @param {any} creds
 * @param {string} folder
 */
function tellIfNeverLinked(account, creds, folder) {
  if (creds.me) return
  insideOf(account)?.warn(
    { account: account.name, importFrom: folder },
    `account ${account.name} has creds that were never linked to a phone, so ${folder} was not imported; where that account is to go on, drop() this one first`
  )
}

/**
 * Imports the folder of a multi-file store, and gives its creds.
 * @param {import('../index.js').Account} account
 * @param {string | undefined} folder
 */
async function importedCreds(account, folder) {
  if (folder === undefined) return undefined
  const result = await sayOf(importMultiFile(folder, account), 'folder', 'importFrom')
  if (!result.complete) throw incompleteError(folder, result)
  return account.loadCreds()
}

/**
 * Makes the creds of a new identity and commits them, before anybody sees them: a pairing must not be lost with a crash. Under
 * a lock, so that two threads make one identity, and outside of whatever transaction runs around the call.
 * @param {Cask} cask
 * @param {import('../index.js').Account} account
 * @param {AuthStateOptions['baileys']} baileys
 */
function firstCreds(cask, account, baileys) {
  return runInside(undefined, () => account.keys.transaction(async (tx) => {
    const present = await account.loadCreds()
    if (present) return present
    await checkFinished(account.name, tx)
    if ((await cask.accounts()).includes(account.name)) {
      throw new CaskError(
        'ERR_CASK_CREDS_MISSING',
        `account ${account.name} has records but no creds; save its creds with account.saveCreds(), or start over with account.drop()`,
        { account: account.name }
      )
    }
    const creds = await freshCreds(baileys)
    await tx.setCreds(creds)
    return creds
  }, FIRST_CREDS))
}

module.exports = { useCaskAuthState }
