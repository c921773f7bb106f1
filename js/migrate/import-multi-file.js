'use strict'

const { resolve } = require('node:path')
const { CaskError, atCaller } = require('../errors.js')
const { checkAccount, checkFolder, checkMigrationOptions, checkSignal } = require('./checks.js')
const { CREDS, UNFINISHED, failureOf, hasChanged, listAuthFolder, namesIn, readPlace } = require('./folder.js')
const { importInto } = require('./into-account.js')
const { whyNoCreds } = require('./same-value.js')

/** @typedef {import('../../index.js').Account} Account */
/** @typedef {import('../../index.js').ImportResult} ImportResult */
/** @typedef {import('../../index.js').ImportFailure} ImportFailure */
/** @typedef {import('./folder.js').Found} Found */
/** @typedef {import('./folder.js').Listing} Listing */
/** @typedef {import('./folder.js').Place} Place */
/** @typedef {import('./into-account.js').AccountImport} AccountImport */

const OPTIONS = Object.freeze(['onProgress', 'signal', 'dryRun', 'skipFailed', 'families'])
/** Files that are read at once, and that are looked at once more at the end. */
const IN_FLIGHT = 16
const LOOKS_IN_FLIGHT = 64
/** Records of one write. */
const BATCH = 256

/**
 * Imports the folder of Baileys' multi-file store into an account that is empty.
 * @param {string} folder
 * @param {Account} account
 * @param {import('../../index.js').ImportMultiFileOptions} [options]
 * @returns {Promise<ImportResult>}
 */
async function importMultiFile(folder, account, options) {
  try {
    checkFolder(folder)
    const inside = checkAccount(account, 'an import')
    const checked = checkMigrationOptions(options, OPTIONS)
    const from = resolve(folder)
    return await importInto(account, inside, { from, signal: checked.signal, dryRun: checked.dryRun }, (run) => new FolderImport(from, run, checked).run())
  } catch (error) {
    throw atCaller(error, importMultiFile)
  }
}

/** One import of one folder. */
class FolderImport {
  /** @type {ImportFailure[]} */
  #failed = []
  /** @type {string[]} */
  #recovered = []
  /** What was read, to see in the end whether it is still that. @type {Found[]} */
  #seen = []
  #done = 0

  /**
   * @param {string} folder
   * @param {AccountImport} target
   * @param {Record<string, any>} options
   */
  constructor(folder, target, { onProgress, signal, dryRun = false, skipFailed = false, families = [] }) {
    this.folder = folder
    this.target = target
    this.onProgress = onProgress
    this.signal = signal
    this.dryRun = dryRun
    this.skipFailed = skipFailed
    this.families = families
  }

  /** @returns {Promise<ImportResult>} */
  async run() {
    const listing = await listAuthFolder(this.folder, this.families)
    const creds = await this.#creds(listing)
    if (await this.target.isPresent(creds)) return this.#result(listing, { complete: true, present: true, creds: false })
    // Without creds nothing can be made whole. What else is wrong is told all the same.
    const isWriting = creds !== undefined && !this.dryRun
    if (isWriting) await this.target.begin(creds)
    else this.target.tx = undefined
    await this.#records(listing.records)
    await this.#lookAgain(listing)
    const complete = creds !== undefined && this.#failed.every(({ reason }) => this.skipFailed && reason !== 'changed')
    if (complete && isWriting) await this.target.finish(creds)
    return this.#result(listing, { complete, present: false, creds: complete })
  }

  /**
   * @param {Listing} listing
   * @returns {Promise<unknown>} nothing where there are none that could be used
   */
  async #creds({ creds: place, ignored }) {
    if (!place) {
      const hint = ignored.includes(`${CREDS}${UNFINISHED}`) ? `; ${CREDS}${UNFINISHED} is what Baileys was about to write` : ''
      this.#failed.push({ file: CREDS, reason: 'missing', message: `there is none${hint}` })
      return undefined
    }
    const found = await readPlace(this.folder, place)
    this.#take(found)
    if (found.failure) return undefined
    const why = whyNoCreds(found.value)
    if (why === undefined) return found.value
    this.#failed.push(failureOf(place, { reason: 'refused', message: why }))
    return undefined
  }

  /** @param {Found} found */
  #take(found) {
    if (found.failure) this.#failed.push(found.failure)
    else this.#seen.push({ ...found, value: undefined })
    if (found.fromBackup) this.#recovered.push(found.place.file)
  }

  /** @param {Place[]} places */
  async #records(places) {
    const total = places.length
    const batches = batchesOf(places)
    /** The next batch is read while one is written. */
    let reading = this.#read(batches[0] ?? [])
    for (const [i, batch] of batches.entries()) {
      const found = await reading
      checkSignal(this.signal, 'the import')
      reading = this.#read(batches[i + 1] ?? [])
      // Told where it is waited for.
      reading.catch(() => {})
      await this.#write(found)
      this.#done += batch.length
      this.onProgress?.({ done: this.#done, total })
    }
    checkSignal(this.signal, 'the import')
  }

  /** @param {Place[]} places */
  async #read(places) {
    /** @type {Found[]} */
    const found = new Array(places.length)
    await each(places, IN_FLIGHT, async (place, i) => {
      if (!this.signal?.aborted) found[i] = await readPlace(this.folder, place)
    })
    return found
  }

  /** @param {Found[]} found all of one family */
  async #write(found) {
    const entries = []
    for (const one of found) {
      this.#take(one)
      if (!one.failure) entries.push({ id: one.place.id, value: one.value, file: one.place.file })
    }
    const family = found[0]?.place.family
    if (family !== undefined && entries.length > 0) this.#failed.push(...await this.target.put(family, entries))
  }

  /**
   * Whether the folder is still what was read: a socket that runs on it turns its ratchets on, and what was read is the past.
   * @param {Listing} listing
   */
  async #lookAgain(listing) {
    const message = 'it has changed since the import began; stop what uses the folder, and run the import again'
    await each(this.#seen, LOOKS_IN_FLIGHT, async (found) => {
      if (!this.signal?.aborted && await hasChanged(this.folder, found)) this.#failed.push(failureOf(found.place, { reason: 'changed', message }))
    })
    checkSignal(this.signal, 'the import')
    const known = new Set([...listing.records.map(({ file }) => file), ...listing.ignored, ...(listing.creds ? [listing.creds.file] : [])])
    for (const file of await namesIn(this.folder)) {
      if (!known.has(file)) this.#failed.push({ file, reason: 'changed', message: message.replace('changed', 'appeared') })
    }
  }

  /**
   * @param {Listing} listing
   * @param {{ complete: boolean, present: boolean, creds: boolean }} outcome
   * @returns {ImportResult}
   */
  #result({ ignored }, outcome) {
    return {
      ...outcome,
      dryRun: this.dryRun,
      records: this.target.counts(),
      failed: this.#failed,
      recovered: this.#recovered,
      ignored
    }
  }
}

/**
 * @param {Place[]} places family by family
 * @returns {Place[][]} of one family each
 */
function batchesOf(places) {
  /** @type {Place[][]} */
  const batches = []
  let batch
  for (const place of places) {
    if (!batch || batch.length === BATCH || batch[0]?.family !== place.family) batches.push(batch = [])
    batch.push(place)
  }
  return batches
}

/**
 * Does something with every item, some of them at once.
 * @template T
 * @param {readonly T[]} items
 * @param {number} atOnce
 * @param {(item: T, index: number) => Promise<void>} work
 */
async function each(items, atOnce, work) {
  let next = 0
  const lane = async () => {
    while (next < items.length) {
      const index = next++
      await work(/** @type {T} */ (items[index]), index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane))
}

/**
 * The error for a folder that could not be imported as a whole.
 * @param {string} folder
 * @param {ImportResult} result
 */
function incompleteError(folder, { failed }) {
  const SHOWN = 5
  const shown = failed.slice(0, SHOWN).map(({ file, message }) => `${file}: ${message}`).join('; ')
  const more = failed.length > SHOWN ? `, and ${failed.length - SHOWN} more` : ''
  return new CaskError(
    'ERR_CASK_CORRUPT',
    `${failed.length} of the files in ${folder} could not be imported (${shown}${more}); repair them, or leave them out with importMultiFile() and skipFailed`,
    { path: folder }
  )
}

module.exports = { importMultiFile, incompleteError, each }
