'use strict'

const { CaskError } = require('./errors.js')

/** The package's name where a package has a binary for one platform, such as `baileys-cask-linux-x64-gnu`. */
const PLATFORM_PACKAGE = /Cannot find (?:module|package) '(baileys-cask-(?!wasm)[a-z0-9-]+)'/
/** What loaders say where they have looked for a file in vain; whatever else they say, a file was there. */
const NOT_FOUND = /Cannot find (?:module|package)|Unsupported (?:OS|architecture)/
const ADDONS_REFUSED = /loading addons is disabled/

/**
 * Loads the addon.
 * @param {() => typeof import('../binding.js')} load
 * @throws {CaskError} `ERR_CASK_ADDON`, with what to do about it
 */
function loadAddon(load) {
  try {
    return load()
  } catch (error) {
    throw new CaskError('ERR_CASK_ADDON', `The native addon of baileys-cask cannot be loaded: ${reason(messagesOf(error))}`, { cause: error })
  }
}

/**
 * What was said about each file that was tried, last to first. The generated loader chains them, and keeps the messages alone.
 * @param {any} error
 */
function messagesOf(error) {
  const messages = []
  for (let one = error, depth = 0; one && depth < 32; one = one.cause, depth++) messages.push(String(one.message))
  return messages
}

/** @param {string[]} messages */
function reason(messages) {
  if (messages.some(message => ADDONS_REFUSED.test(message))) {
    return `${process.version} was started so that it refuses addons. Start it with --allow-addons where it has --permission, and without --no-addons.`
  }
  // The first is the loader's own summary.
  const found = messages.slice(1).find(message => !NOT_FOUND.test(message))
  if (found !== undefined) {
    return `a binary is there, but this system refuses it: ${found}. Was node_modules made on another system, or is the C library too old? Install again on this one.`
  }
  const name = messages.map(message => PLATFORM_PACKAGE.exec(message)?.[1]).find(Boolean)
  const here = `${process.platform} ${process.arch}`
  if (name !== undefined && isPublished(name)) {
    return `the package ${name}, which brings the binary for ${here}, is not installed. Install without --omit=optional, on the system that runs it; `
      + 'where that was done, remove node_modules and package-lock.json and install again. A bundler must leave baileys-cask out of the bundle.'
  }
  return `there is no binary for ${here}${name === undefined ? '' : ` (${name})`}. There are such for ${published().join(', ')}. It can be built from source, with Rust: npm run build.`
}

/** Platforms that have a binary, as the names of their packages end. */
function published() {
  /** @type {string[]} */
  const targets = require('../package.json').napi.targets
  return targets.map(platformOf)
}

/** @param {string} name */
const isPublished = name => published().some(platform => name === `baileys-cask-${platform}`)

const ARCHITECTURES = /** @type {{ [name: string]: string }} */ ({ x86_64: 'x64', aarch64: 'arm64' })
const SYSTEMS = /** @type {{ [name: string]: string }} */ ({ windows: 'win32' })

/**
 * Node's names for a Rust target.
 * @param {string} target such as `x86_64-unknown-linux-gnu`
 */
function platformOf(target) {
  const [architecture = '', , system = '', abi] = target.split('-')
  return [SYSTEMS[system] ?? system, ARCHITECTURES[architecture] ?? architecture, ...(abi === undefined ? [] : [abi])].join('-')
}

module.exports = { loadAddon }
