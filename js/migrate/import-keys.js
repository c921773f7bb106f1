'use strict'

const { atCaller, wrongType } = require('../errors.js')
const { checkAccount, checkMigrationOptions, checkSignal } = require('./checks.js')
const { importInto } = require('./into-account.js')
const { throughJson } = require('./json.js')
const { KNOWN, recordsByName } = require('./names.js')
const { whyNoCreds } = require('./same-value.js')

/** @typedef {import('../../index.js').Account} Account */
/** @typedef {import('../../index.js').ImportResult} ImportResult */
/** @typedef {import('../../index.js').ImportFailure} ImportFailure */
/** @typedef {import('./into-account.js').AccountImport} AccountImport */

const OPTIONS = Object.freeze(['creds', 'ids', 'names', 'families', 'onProgress', 'signal', 'dryRun', 'skipFailed'])
/** Records that are asked for at once, and written at once. */
const BATCH = 256

/**
 * Imports the records of another key store, and creds, into an account that is empty.
 * @param {any} source
 * @param {Account} account
 * @param {import('../../index.js').ImportKeysOptions} [options]
 * @returns {Promise<ImportResult>}
 */
async function importKeys(source, account, options) {
  try {
    const inside = checkAccount(account, 'an import')
    const checked = checkMigrationOptions(options, OPTIONS)
    const isByIds = checked.ids !== undefined || checked.names !== undefined
    const method = isByIds ? 'get' : 'list'
    if (typeof source?.[method] !== 'function') {
      throw wrongType('source', isByIds ? 'source has no method get' : 'source has no method list; give the ids of its records in ids or names')
    }
    const creds = checked.creds === undefined ? undefined : throughJson(checked.creds)
    if (creds !== undefined) checkCreds(creds)
    return await importInto(account, inside, { from: 'a key store', signal: checked.signal, dryRun: checked.dryRun }, async (run) => {
      const walk = new KeysImport(source, run, checked)
      if (await run.isPresent(creds)) return walk.result({ complete: true, present: true, creds: false })
      if (!checked.dryRun) await run.begin(creds)
      await (isByIds ? walk.byIds() : walk.byLists())
      const complete = walk.failed.length === 0 || checked.skipFailed === true
      if (complete && !checked.dryRun) await run.finish(creds)
      return walk.result({ complete, present: false, creds: complete && creds !== undefined })
    })
  } catch (error) {
    throw atCaller(error, importKeys)
  }
}

/**
 * Adapters answer with fresh creds where they find none: an identity of nobody.
 * @param {any} creds
 */
function checkCreds(creds) {
  const why = whyNoCreds(creds)
  if (why !== undefined) throw wrongType('creds', `creds cannot be imported: ${why}`)
  if (!creds.me) throw wrongType('creds', 'creds were never linked to a phone: they have no me, so the source has made them because it found none; see where it looks')
}

/** One import from one key store. */
class KeysImport {
  /** @type {ImportFailure[]} */
  failed = []
  /** What was asked for and is no record's name. @type {string[]} */
  ignored = []
  #done = 0

  /**
   * @param {any} source
   * @param {AccountImport} target
   * @param {Record<string, any>} options
   */
  constructor(source, target, options) {
    this.source = source
    this.target = target
    this.options = options
  }

  /** Takes what the source lists, family by family. */
  async byLists() {
    const families = new Set([...KNOWN, ...(this.options.families ?? [])])
    for (const family of families) {
      /** @type {Map<string, unknown>} */
      let batch = new Map()
      const listed = await this.#answer(this.source.list(family))
      for await (const [id, value] of this.#each(listed)) {
        this.#check()
        batch.set(id, value)
        if (batch.size < BATCH) continue
        await this.#write(family, batch)
        batch = new Map()
      }
      await this.#write(family, batch)
    }
  }

  /** Takes what the source gives for a list of ids. */
  async byIds() {
    const wanted = await this.#wanted()
    const total = [...wanted.values()].reduce((sum, ids) => sum + ids.size, 0)
    for (const [family, ids] of wanted) {
      const all = [...ids]
      for (let at = 0; at < all.length; at += BATCH) {
        this.#check()
        const some = all.slice(at, at + BATCH)
        const values = (await this.#answer(this.source.get(family, some))) ?? {}
        await this.#write(family, new Map(some.map((id) => [id, Object.hasOwn(values, id) ? values[id] : undefined])), total)
      }
    }
  }

  /** @returns {Promise<Map<string, Set<string>>>} ids by family, each once */
  async #wanted() {
    /** @type {Map<string, Set<string>>} */
    const wanted = new Map()
    const add = (/** @type {string} */ family, /** @type {string} */ id) => {
      if (typeof id !== 'string') throw wrongType('ids', 'ids are strings')
      const ids = wanted.get(family)
      if (ids) ids.add(id)
      else wanted.set(family, new Set([id]))
    }
    for (const [family, ids] of Object.entries(this.options.ids ?? {})) for await (const id of this.#each(ids)) add(family, id)
    const recordOf = recordsByName(this.options.families)
    for await (const name of this.#each(this.options.names ?? [])) {
      if (typeof name !== 'string') throw wrongType('names', 'names are strings, such as \'session-123.0\'')
      const record = recordOf(name.endsWith('.json') ? name.slice(0, -'.json'.length) : name)
      if (record) add(record.family, record.id)
      else this.ignored.push(name)
    }
    return wanted
  }

  /**
   * @param {string} family
   * @param {Map<string, unknown>} batch
   * @param {number} [total]
   */
  async #write(family, batch, total) {
    const entries = []
    for (const [id, given] of batch) {
      // What a value is as JSON may be nothing at all.
      const value = throughJson(given)
      if (typeof id !== 'string') this.failed.push({ type: family, id: shown(id), reason: 'refused', message: 'its id is not a string' })
      else if (value === null || value === undefined) this.failed.push({ type: family, id, reason: 'missing', message: 'the source has no value for it' })
      else entries.push({ id, value })
    }
    if (entries.length > 0) this.failed.push(...await this.target.put(family, entries))
    this.#done += batch.size
    this.#check()
    if (batch.size > 0) this.options.onProgress?.({ done: this.#done, ...(total === undefined ? {} : { total }) })
  }

  /**
   * Waits for the source, which may never answer; no longer than until the signal.
   * @template T
   * @param {T | PromiseLike<T>} asked
   * @returns {Promise<Awaited<T>>}
   */
  async #answer(asked) {
    const { signal } = this.options
    if (!signal) return await asked
    let stop = () => {}
    try {
      return await Promise.race([asked, new Promise((_, reject) => {
        stop = () => reject(signal.reason)
        // One that is aborted already tells nobody any more.
        if (signal.aborted) stop()
        else signal.addEventListener('abort', stop, { once: true })
      })])
    } finally {
      signal.removeEventListener('abort', stop)
      this.#check()
    }
  }

  /**
   * The same for each step of whatever can be iterated over.
   * @param {any} iterable
   */
  async *#each(iterable) {
    const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]()
    let isOver = false
    try {
      for (;;) {
        const { done, value } = await this.#answer(iterator.next())
        isOver = Boolean(done)
        if (isOver) return
        yield value
      }
    } finally {
      // One that hangs in a step ends when that does.
      if (!isOver) Promise.resolve(iterator.return?.()).catch(() => {})
    }
  }

  #check() {
    checkSignal(this.options.signal, 'the import')
  }

  /**
   * @param {{ complete: boolean, present: boolean, creds: boolean }} outcome
   * @returns {ImportResult}
   */
  result(outcome) {
    return { ...outcome, dryRun: this.options.dryRun ?? false, records: this.target.counts(), failed: this.failed, recovered: [], ignored: this.ignored }
  }
}

/**
 * An id that is not one. An object is not asked what it is as text, which may take for ever.
 * @param {unknown} id
 */
function shown(id) {
  return Object(id) === id ? typeof id : String(id)
}

module.exports = { importKeys }
