'use strict'

const { CaskError } = require('./errors.js')

/** Packages that can make fresh creds, in the order in which they are tried. */
const PACKAGES = ['baileys', '@whiskeysockets/baileys']

/**
 * Creds of a new identity, from the Baileys handed in or the one that is installed.
 * @param {import('../index.js').BaileysModule | undefined} baileys
 */
async function freshCreds(baileys) {
  if (baileys) return baileys.initAuthCreds()
  for (const name of PACKAGES) {
    const found = await load(name)
    if (found) return found.initAuthCreds()
  }
  throw new CaskError(
    'ERR_CASK_BAILEYS_MISSING',
    'a new identity needs fresh creds, and no Baileys is installed: run npm install baileys, or pass the option baileys'
  )
}

/**
 * @param {string} name
 * @returns {Promise<import('../index.js').BaileysModule | undefined>}
 */
async function load(name) {
  try {
    const found = await import(name)
    return typeof found.initAuthCreds === 'function' ? found : found.default
  } catch (error) {
    // Only its absence is no error: a Baileys that is there and cannot be loaded should say why.
    if (/** @type {any} */ (error).code === 'ERR_MODULE_NOT_FOUND' && String(error).includes(`'${name}'`)) return undefined
    throw error
  }
}

module.exports = { freshCreds }
