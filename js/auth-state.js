'use strict'

const { isCask, storeOf } = require('./cask.js')
const { shared } = require('./context.js')
const { CaskError, wrongType } = require('./errors.js')
const { freshCreds } = require('./fresh-creds.js')
const { openCask } = require('./open.js')

/** @typedef {import('../index.js').AuthState} AuthState */
/** @typedef {import('../index.js').AuthStateOptions} AuthStateOptions */
/** @typedef {import('../index.js').Cask} Cask */

/**
 * Takes the place of Baileys' `useMultiFileAuthState`. The same path and account give the same state until it is closed:
 * bots call this again on every reconnect.
 * @param {string | Cask} target
 * @param {AuthStateOptions} [options]
 * @returns {Promise<AuthState>}
 */
async function useCaskAuthState(target, options) {
  if (options !== undefined && (typeof options !== 'object' || options === null)) throw wrongType('options', 'options are an object')
  const { account = 'default', ...caskOptions } = options ?? {}
  if (isCask(target)) {
    if (Object.keys(caskOptions).some((name) => name !== 'baileys')) {
      throw wrongType('options', 'an open cask has its settings; beside it only account and baileys are options')
    }
    return share(target, account, caskOptions.baileys, false)
  }
  if (typeof target !== 'string' || target === '') throw wrongType('target', 'target is the path of a folder, or an open cask')
  if ('path' in caskOptions || 'name' in caskOptions) throw wrongType('options', 'the target says where the cask is; leave path and name out')
  return share(await openCask({ ...caskOptions, path: target }), account, caskOptions.baileys, true)
}

/**
 * @param {Cask} cask
 * @param {string} name
 * @param {AuthStateOptions['baileys']} baileys
 * @param {boolean} owned whether closing the state gives this handle back
 * @returns {Promise<AuthState>}
 */
async function share(cask, name, baileys, owned) {
  // Keyed by store, so a folder that was removed and made anew under the same path has a state of its own.
  const key = `${storeOf(cask)}/${owned}/${name}`
  const { states } = shared
  const present = states.get(key)
  if (present) {
    if (owned) await cask.close()
    return present
  }
  const made = make(cask, name, baileys, owned, () => states.delete(key))
  states.set(key, made)
  try {
    return await made
  } catch (error) {
    states.delete(key)
    if (owned) await cask.close()
    throw error
  }
}

/**
 * @param {Cask} cask
 * @param {string} name
 * @param {AuthStateOptions['baileys']} baileys
 * @param {boolean} owned
 * @param {() => void} forget
 * @returns {Promise<AuthState>}
 */
async function make(cask, name, baileys, owned, forget) {
  const account = cask.account(name)
  let creds = await account.loadCreds()
  if (!creds) {
    if ((await cask.accounts()).includes(name)) {
      throw new CaskError(
        'ERR_CASK_CREDS_MISSING',
        `account ${name} has records but no creds; save its creds with account.saveCreds(), or start over with account.drop()`,
        { account: name }
      )
    }
    creds = await freshCreds(baileys)
    // On disk before anybody sees them: a pairing must not be lost with a crash.
    await account.saveCreds(creds)
  }
  const state = { creds, keys: account.keys }
  return {
    state,
    saveCreds: () => account.saveCreds(state.creds),
    cask,
    account,
    close: async () => {
      forget()
      if (owned) await cask.close()
    }
  }
}

module.exports = { useCaskAuthState }
