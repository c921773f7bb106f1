'use strict'

const { randomUUID } = require('node:crypto')
const { lstat, mkdir, readdir, realpath, rename, rm, rmdir } = require('node:fs/promises')
const { dirname, resolve } = require('node:path')
const { CaskError, atCaller } = require('../errors.js')
const { runInside } = require('../context.js')
const { checkFinished } = require('../first-creds.js')
const { checkAccount, checkFolder, checkMigrationOptions, checkSignal } = require('./checks.js')
const { failedCall, listFolder } = require('./folder.js')
const { FolderWriter, syncFolder } = require('./folder-writer.js')
const { KNOWN } = require('./names.js')

/** @typedef {import('../../index.js').Account} Account */
/** @typedef {import('../../index.js').ExportResult} ExportResult */
/** @typedef {import('../../index.js').Transaction} Transaction */
/** @typedef {import('../account-brand.js').Inside} Inside */

const OPTIONS = Object.freeze(['replace', 'onProgress', 'signal'])
/** Undoes the transaction of an export, which writes nothing. */
const READ_ENOUGH = Symbol('read enough')

/**
 * Exports an account to a folder from which Baileys' multi-file store goes on.
 *
 * Everything is written to a folder beside it, which takes its name when it is whole and on disk. A process that is killed leaves that
 * folder behind, and nothing under the name that was asked for.
 * @param {Account} account
 * @param {string} folder
 * @param {import('../../index.js').ExportMultiFileOptions} [options]
 * @returns {Promise<ExportResult>}
 */
async function exportMultiFile(account, folder, options) {
  try {
    return await exportTo(folder, account, options)
  } catch (error) {
    throw atCaller(error, exportMultiFile)
  }
}

/**
 * @param {string} folder
 * @param {Account} account
 * @param {import('../../index.js').ExportMultiFileOptions | undefined} options
 * @returns {Promise<ExportResult>}
 */
async function exportTo(folder, account, options) {
  const inside = checkAccount(account, 'an export')
  checkFolder(folder)
  const { replace = false, onProgress, signal } = checkMigrationOptions(options, OPTIONS)
  checkSignal(signal, 'the export')
  const target = await targetOf(resolve(folder), replace)
  await checkCreds(account)
  const partial = `${target}.partial-${randomUUID()}`
  const writer = new FolderWriter(partial, signal, onProgress)
  try {
    await mkdir(dirname(target), { recursive: true })
    await mkdir(partial, { mode: 0o700 })
    await runInside(undefined, () => readAll(account, inside, writer, signal))
    await syncFolder(partial)
    checkSignal(signal, 'the export')
    await takePlace(partial, target, replace)
    await syncFolder(dirname(target))
    return { records: Object.fromEntries(writer.counts) }
  } catch (error) {
    await writer.stopped()
    await rm(partial, { recursive: true, force: true })
    throw writer.isOfCaller(error) ? error : failedCall(error, partial)
  }
}

/** @param {Account} account */
async function checkCreds(account) {
  const { name } = account
  await runInside(undefined, () => checkFinished(name, account.keys))
  if (await account.loadCreds()) return
  throw new CaskError('ERR_CASK_CREDS_MISSING', `account ${name} has no creds, and Baileys would make new ones in its folder; save its creds first`, { account: name })
}

/**
 * Where the folder really is; refuses what must not be replaced.
 * @param {string} folder
 * @param {boolean} replace
 */
async function targetOf(folder, replace) {
  const refuse = (/** @type {string} */ why) => new CaskError('ERR_CASK_INVALID_ARGUMENT', `${folder} ${why}`, { argument: 'folder', path: folder })
  let target
  let names
  try {
    target = await realpath(folder)
    names = await readdir(target)
  } catch (error) {
    const { code } = /** @type {any} */ (error)
    if (code === 'ENOENT') return folder
    if (code === 'ENOTDIR') throw refuse('is a file; give a folder that is empty or does not exist')
    throw failedCall(error, folder)
  }
  if (names.length === 0) return target
  if (!replace) throw refuse('is not empty; give one that is, or set replace where it is the folder of a multi-file store that may go')
  const { creds, ignored } = await listFolder(target, [])
  const foreign = ignored.filter((name) => !name.endsWith('.json.tmp'))
  if (!creds || foreign.length > 0) throw refuse(`is not the folder of a multi-file store alone${foreign.length > 0 ? `: it holds ${foreign[0]}` : ''}; it is not replaced`)
  return target
}

/**
 * Reads the whole account as of one moment.
 * @param {Account} account
 * @param {Inside} inside
 * @param {FolderWriter} writer
 * @param {AbortSignal | undefined} signal
 */
async function readAll(account, inside, writer, signal) {
  let reading = Promise.resolve()
  try {
    // Outside of its context: what onProgress does is none of it.
    await inside.begin((tx) => reading = runInside(undefined, async () => {
      /** @type {Map<string, string[]>} */
      const ids = new Map()
      // Those found are locked while the others are looked for.
      for (let missing = familiesOf(inside, ids); missing.length > 0; missing = familiesOf(inside, ids)) {
        for (const family of missing) ids.set(family, await listIds(tx, family))
      }
      // That locks them.
      await tx.setCreds(/** @type {any} */ (await account.loadCreds()))
      const creds = await account.loadCreds()
      writer.expect([...ids.values()].reduce((sum, { length }) => sum + length, 0))
      for (const family of ids.keys()) {
        for await (const [id, value] of tx.list(/** @type {any} */ (family))) await writer.write(family, id, value)
      }
      await writer.written()
      await writer.writeCreds(creds)
      throw READ_ENOUGH
    }), undefined, signal)
  } catch (error) {
    if (error === READ_ENOUGH) return
    // What the signal ends at once goes on up to its next step.
    await reading.catch(() => {})
    checkSignal(signal, 'the export')
    throw error
  }
}

/**
 * @param {Inside} inside
 * @param {Map<string, unknown>} known
 */
function familiesOf(inside, known) {
  return [...new Set([...KNOWN, ...inside.counts().keys()])].filter((family) => !known.has(family))
}

/**
 * @param {Transaction} tx
 * @param {string} family
 */
async function listIds(tx, family) {
  const ids = []
  for await (const id of tx.listIds(family)) ids.push(id)
  return ids
}

/**
 * Gives a whole folder its name.
 * @param {string} partial
 * @param {string} target
 * @param {boolean} replace whether what is there may go
 */
async function takePlace(partial, target, replace) {
  const present = await lstat(target).catch(() => undefined)
  if (!present) return rename(partial, target)
  const isEmpty = await rmdir(target).then(() => true, (error) => {
    if (replace && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST')) return false
    throw error
  })
  if (isEmpty) return rename(partial, target)
  const old = `${target}.replaced-${randomUUID()}`
  await rename(target, old)
  try {
    await rename(partial, target)
  } catch (error) {
    await rename(old, target)
    throw error
  }
  await rm(old, { recursive: true, force: true })
}

module.exports = { exportMultiFile }
