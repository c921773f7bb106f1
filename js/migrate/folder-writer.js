'use strict'

const { open } = require('node:fs/promises')
const { basename, join } = require('node:path')
const { CaskError } = require('../errors.js')
const { checkSignal } = require('./checks.js')
const { CREDS } = require('./folder.js')
const { textOf } = require('./json.js')
const { nameOf } = require('./names.js')

/** Bytes of a file's name, on every file system that is named in durability.md. */
const LONGEST_NAME = 255

/** Files that are written at once. */
const IN_FLIGHT = 16

/** Writes the files of a folder that nobody else knows. */
class FolderWriter {
  /** Number of records by family. @type {Map<string, number>} */
  counts = new Map()
  /** Whose name is taken. @type {Map<string, { family: string, id: string }>} */
  #taken = new Map()
  /** @type {Set<Promise<void>>} */
  #underWay = new Set()
  #done = 0
  #total = 0
  /** @type {{ error: unknown } | undefined} */
  #failure
  /** @type {{ error: unknown } | undefined} */
  #thrown

  /**
   * @param {string} folder
   * @param {AbortSignal | undefined} signal
   * @param {((progress: import('../../index.js').MigrationProgress) => void) | undefined} onProgress
   */
  constructor(folder, signal, onProgress) {
    this.folder = folder
    this.signal = signal
    this.onProgress = onProgress
  }

  /** @param {number} total */
  expect(total) {
    this.#total = total
  }

  /**
   * @param {string} family
   * @param {string} id
   * @param {unknown} value
   */
  async write(family, id, value) {
    checkSignal(this.signal, 'the export')
    while (this.#underWay.size >= IN_FLIGHT) await Promise.race(this.#underWay)
    this.#check()
    const file = this.#fileOf(family, id)
    const writing = this.#writeFile(file, textOf(family, value)).then(() => {
      this.counts.set(family, (this.counts.get(family) ?? 0) + 1)
      this.#done++
      this.#tell()
    }).catch((error) => {
      this.#failure ??= { error }
    }).finally(() => this.#underWay.delete(writing))
    this.#underWay.add(writing)
  }

  /** Waits for what is under way. */
  async written() {
    await Promise.all(this.#underWay)
    this.#check()
  }

  /** Waits for what is under way, however it ends. */
  async stopped() {
    await Promise.all(this.#underWay)
  }

  /** @param {unknown} creds */
  writeCreds(creds) {
    return this.#writeFile(CREDS, textOf('creds', creds))
  }

  #tell() {
    try {
      this.onProgress?.({ done: this.#done, total: this.#total })
    } catch (error) {
      this.#thrown ??= { error }
      throw error
    }
  }

  /**
   * Whether an error is what `onProgress` has thrown: whatever that is, it is the caller's.
   * @param {unknown} error
   */
  isOfCaller(error) {
    return this.#thrown !== undefined && this.#thrown.error === error
  }

  #check() {
    if (this.#failure) throw this.#failure.error
  }

  /**
   * @param {string} family
   * @param {string} id
   */
  #fileOf(family, id) {
    const file = `${nameOf(family, id)}.json`
    const other = this.#taken.get(file)
    const why = other
      ? `has the file name of record ${other.id} of ${other.family}`
      : file.includes('\u0000') || basename(file) !== file ? 'has characters that no file name may have'
        : Buffer.byteLength(file) > LONGEST_NAME ? 'has a longer file name than a folder can have' : undefined
    if (why) throw new CaskError('ERR_CASK_INVALID_ARGUMENT', `record ${id} of ${family} ${why}: a multi-file store cannot hold it`, { argument: 'account' })
    this.#taken.set(file, { family, id })
    return file
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  async #writeFile(name, text) {
    // Where names that differ in case are the same, the second one fails.
    const file = await open(join(this.folder, name), 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.datasync()
    } finally {
      await file.close()
    }
  }
}

/** @param {string} folder */
async function syncFolder(folder) {
  // Windows opens no folders, and needs none of this.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

module.exports = { FolderWriter, syncFolder }
