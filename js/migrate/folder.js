'use strict'

const { closeSync, constants, fstatSync, open, read, stat } = require('node:fs')
const { readdir } = require('node:fs/promises')
const { join } = require('node:path')
const { setImmediate: turn } = require('node:timers/promises')
const { FAMILY_CODES } = require('../codec/families.js')
const { CaskError } = require('../errors.js')
const { parseValue } = require('./json.js')
const { nameOf, recordsByName } = require('./names.js')

/** @typedef {import('../../index.js').ImportFailure} ImportFailure */

const CREDS = 'creds.json'
/** Beside a file of newer Baileys: the value before the last one, and the next one while it is written. */
const BACKUP = '.bak'
const UNFINISHED = '.tmp'
const SUFFIX = '.json'
/** A pipe that somebody has put there must not be waited for. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)
/** Names that are sorted out in one go, in some milliseconds: a folder may have a hundred thousand. */
const NAMES_AT_ONCE = 1024
/** Longest text that JavaScript can hold, with room to spare. */
const MAX_FILE_BYTES = 2 ** 28

/**
 * A value in the folder: where its file should be, and what it is.
 * @typedef {object} Place
 * @property {string} file
 * @property {string} family
 * @property {string} id
 * @property {boolean} hasBackup
 */

/**
 * @typedef {object} Listing
 * @property {Place | undefined} creds
 * @property {Place[]} records family by family
 * @property {string[]} ignored what is no value of Baileys
 */

/**
 * What a file held when it was read.
 * @typedef {object} Found
 * @property {Place} place
 * @property {unknown} [value]
 * @property {boolean} [fromBackup]
 * @property {ImportFailure} [failure] instead of the value
 * @property {string} [print] changes with the file that it was read from
 * @property {string} [passedOver] of a backup: the same of the file that is not whole; none where that is missing
 */

/**
 * The names in a folder, sorted out.
 * @param {string} folder
 * @param {readonly string[]} families
 * @returns {Promise<Listing>}
 */
async function listFolder(folder, families) {
  const entries = await entriesOf(folder)
  const recordOf = recordsByName(families)
  const files = new Set(entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map(({ name }) => name))
  /** @type {Listing} */
  const listing = { creds: undefined, records: [], ignored: entries.filter(({ name }) => !files.has(name)).map(({ name }) => name) }
  /** @type {Map<string, Place[]>} */
  const byFamily = new Map()
  let looked = 0
  for (const name of files) {
    if (++looked % NAMES_AT_ONCE === 0) await turn()
    const isBackup = name.endsWith(`${SUFFIX}${BACKUP}`)
    const file = isBackup ? name.slice(0, -BACKUP.length) : name
    if (isBackup && files.has(file)) continue
    const hasBackup = isBackup || files.has(`${file}${BACKUP}`)
    if (file === CREDS) {
      listing.creds = { file, family: 'creds', id: '', hasBackup }
      continue
    }
    const record = file.endsWith(SUFFIX) ? recordOf(file.slice(0, -SUFFIX.length)) : undefined
    // What Baileys would look for under another name is none of its files.
    if (!record || `${nameOf(record.family, record.id)}${SUFFIX}` !== file) {
      listing.ignored.push(name)
      continue
    }
    const place = { file, ...record, hasBackup }
    const others = byFamily.get(record.family)
    if (others) others.push(place)
    else byFamily.set(record.family, [place])
  }
  listing.records = [...byFamily.values()].flat()
  listing.ignored.sort()
  return listing
}

/**
 * The same, of a folder that has something of a multi-file store; refuses any other.
 * @param {string} folder
 * @param {readonly string[]} families
 */
async function listAuthFolder(folder, families) {
  const listing = await listFolder(folder, families)
  if (!listing.creds && !listing.records.some(({ family }) => FAMILY_CODES.has(family)) && !listing.ignored.includes(`${CREDS}${UNFINISHED}`)) {
    throw noAuthFolder(folder, 'it holds neither creds.json nor a record')
  }
  return listing
}

/** @param {string} folder */
async function entriesOf(folder) {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    const { code } = /** @type {any} */ (error)
    if (code === 'ENOENT') throw noAuthFolder(folder, 'it does not exist')
    if (code === 'ENOTDIR') throw noAuthFolder(folder, 'it is a file')
    throw failedCall(error, folder)
  }
}

/**
 * The names of what may be values of Baileys in a folder.
 * @param {string} folder
 */
async function namesIn(folder) {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(SUFFIX))
  } catch (error) {
    throw failedCall(error, folder)
  }
}

/**
 * @param {string} folder
 * @param {string} why
 */
function noAuthFolder(folder, why) {
  return new CaskError('ERR_CASK_INVALID_ARGUMENT', `${folder} is no folder of Baileys' multi-file store: ${why}; give the one that useMultiFileAuthState was given`, {
    argument: 'folder', path: folder
  })
}

/**
 * What the operating system has refused.
 * @param {any} cause
 * @param {string} path
 */
function failedCall(cause, path) {
  const { syscall, errno, code } = cause
  if (syscall === undefined) return cause
  return new CaskError('ERR_CASK_IO', `${syscall} failed on ${cause.path ?? path}: ${code}`, { retryable: true, path: cause.path ?? path, syscall, errno, cause })
}

/**
 * Reads the value at a place as newer Baileys would: from the file, or from its backup where the file is missing or not whole.
 * @param {string} folder
 * @param {Place} place
 * @returns {Promise<Found>}
 */
async function readPlace(folder, place) {
  const path = join(folder, place.file)
  const own = await readValue(path)
  if (!('reason' in own)) return { place, ...own }
  // Newer Baileys moves a file to its backup for the moment in which it replaces it.
  if (place.hasBackup || own.reason === 'vanished') {
    const backup = await readValue(`${path}${BACKUP}`)
    if (!('reason' in backup)) return { place, ...backup, fromBackup: true, passedOver: own.print }
    if (own.reason === 'vanished') {
      const again = await readValue(path)
      if (!('reason' in again)) return { place, ...again }
      if (backup.reason !== 'vanished') return { place, failure: failureOf(place, { ...backup, message: `its ${BACKUP} is left, and ${backup.message}` }) }
    } else if (backup.reason !== 'vanished') {
      return { place, failure: failureOf(place, { ...own, message: `${own.message}; its ${BACKUP}: ${backup.message}` }) }
    }
  }
  return { place, failure: failureOf(place, own) }
}

/**
 * @param {Place} place
 * @param {{ reason: ImportFailure['reason'], message: string }} why
 * @returns {ImportFailure}
 */
function failureOf({ file, family, id }, { reason, message }) {
  return { file, ...(file === CREDS ? {} : { type: family, id }), reason, message }
}

/**
 * @param {string} path
 * @returns {Promise<{ value: unknown, print: string } | { reason: ImportFailure['reason'], message: string, print?: string }>}
 */
async function readValue(path) {
  let bytes
  let print
  try {
    ({ bytes, print } = await readBytes(path))
  } catch (error) {
    const { code, syscall } = /** @type {any} */ (error)
    if (code === 'ENOENT') return { reason: 'vanished', message: 'it is not there any more' }
    // Of these the file knows nothing.
    if (code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM' || syscall === undefined) throw failedCall(error, path)
    return { reason: 'unreadable', message: `it cannot be read: ${code}` }
  }
  if (bytes === undefined) return { reason: 'unreadable', message: 'it is no file, or too large for one value', print }
  if (bytes.length === 0) return { reason: 'empty', message: 'it has no bytes', print }
  let value
  try {
    value = parseValue(bytes)
  } catch {
    // What the parser says would show a part of the value.
    return { reason: 'torn', message: 'it is not whole: no JSON', print }
  }
  return value === null ? { reason: 'empty', message: 'it holds null, which is no value', print } : { value, print }
}

/**
 * The bytes of a file; none where it can hold no value.
 * @param {string} path
 * @returns {Promise<{ bytes: Buffer | undefined, print: string }>}
 */
function readBytes(path) {
  return new Promise((resolve, reject) => {
    open(path, FLAGS, (failure, fd) => {
      if (failure) return reject(failure)
      let stats
      try {
        // In memory, now that the file is open.
        stats = fstatSync(fd)
      } catch (error) {
        closeSync(fd)
        return reject(error)
      }
      const print = printOf(stats)
      if (!stats.isFile() || stats.size > MAX_FILE_BYTES) {
        closeSync(fd)
        return resolve({ bytes: undefined, print })
      }
      if (stats.size === 0) {
        closeSync(fd)
        return resolve({ bytes: Buffer.alloc(0), print })
      }
      const buffer = Buffer.allocUnsafe(stats.size)
      read(fd, buffer, 0, stats.size, 0, (error, length) => {
        closeSync(fd)
        if (error) reject(error)
        // Less where it was cut meanwhile, which the print tells as well.
        else resolve({ bytes: buffer.subarray(0, length), print })
      })
    })
  })
}

/** @param {import('node:fs').Stats} stats */
function printOf({ ino, size, mtimeMs }) {
  return `${ino} ${size} ${mtimeMs}`
}

/**
 * Whether a place is not any more what was read.
 * @param {string} folder
 * @param {Found} found
 */
async function hasChanged(folder, { place, fromBackup, print, passedOver }) {
  const path = join(folder, place.file)
  if (!fromBackup) return await printAt(path) !== print
  // A file that has come back meanwhile is newer than its backup.
  return await printAt(path) !== passedOver || await printAt(`${path}${BACKUP}`) !== print
}

/**
 * @param {string} path
 * @returns {Promise<string | undefined>} nothing where nothing is
 */
function printAt(path) {
  return new Promise((resolve) => stat(path, (error, stats) => resolve(error ? undefined : printOf(stats))))
}

module.exports = { CREDS, UNFINISHED, listFolder, listAuthFolder, namesIn, readPlace, hasChanged, failedCall, failureOf }
