'use strict'

const { randomUUID } = require('node:crypto')
const { runInside } = require('../context.js')
const { CaskError } = require('../errors.js')
const { FIRST_CREDS, UNFINISHED_FAMILY, UNFINISHED_ID, unfinishedImport } = require('../first-creds.js')
const { packBatch } = require('../requests.js')
const { Writer } = require('../codec/writer.js')
const { checkSignal } = require('./checks.js')
const { sameIdentity, sameRecord, sameValue } = require('./same-value.js')

/** @typedef {import('../../index.js').Account} Account */
/** @typedef {import('../../index.js').Transaction} Transaction */
/** @typedef {import('../../index.js').ImportFailure} ImportFailure */
/** @typedef {import('../account-brand.js').Inside} Inside */

/** Label under which imports into one account take turns. */
const IMPORT = 'baileys-cask: import'

/**
 * A record on its way.
 * @typedef {object} Entry
 * @property {string} id
 * @property {unknown} value
 * @property {string} [file]
 */

/**
 * What an import does to an account.
 *
 * A record of its own says that it has begun, and everything that an earlier one has left behind goes in the same step. Records follow
 * batch by batch; the creds come last, in one commit with the removal of that mark. So an account that is half there has no creds: it
 * cannot be used, cannot be taken for a new one, and running the import again begins anew. It must: what was there when it was
 * interrupted may be older by now, and a ratchet must not be turned back.
 */
class AccountImport {
  /** @type {Map<string, Set<string>>} */
  #written = new Map()
  #run = randomUUID()

  /**
   * @param {Account} account
   * @param {Inside} inside
   * @param {string} from where it comes from, for messages
   * @param {Transaction | undefined} tx the transaction that holds the label; none where nothing is to be written
   * @param {AbortSignal | undefined} signal ends its waits for what others have locked
   */
  constructor(account, inside, from, tx, signal) {
    this.account = account
    this.inside = inside
    this.from = from
    this.tx = tx
    this.step = Object.freeze({ nested: /** @type {const} */ ('independent'), ...(signal ? { signal } : {}) })
  }

  /**
   * Makes the account ready.
   * @param {unknown} creds those that are to come
   */
  async begin(creds) {
    await this.#commit(async (tx) => {
      // That locks the whole account: what others were about to write is there now, and is looked at as it is committed.
      await tx.clear()
      if (await runInside(undefined, () => this.isPresent(creds))) throw takenError(this.account)
      await tx.set({ [UNFINISHED_FAMILY]: { [UNFINISHED_ID]: { from: this.from, run: this.#run } } })
    })
  }

  /**
   * Whether the account is whole and of the same identity already; refuses one that is anything else but empty or left by an import.
   * @param {unknown} creds those that are to come, if any
   */
  async isPresent(creds) {
    const { account } = this
    const present = await account.loadCreds()
    const unfinished = await unfinishedImport(account.keys)
    if (present) {
      if (unfinished || !sameIdentity(present, creds)) throw takenError(account, unfinished)
      return true
    }
    if (!unfinished && this.inside.counts().size > 0) {
      throw new CaskError(
        'ERR_CASK_CREDS_MISSING',
        `account ${account.name} has records but no creds; import into another one, or remove them with account.drop() first`,
        { account: account.name }
      )
    }
    return false
  }

  /**
   * Writes records of one family and reads them back.
   * @param {string} family
   * @param {Entry[]} entries
   * @returns {Promise<ImportFailure[]>} what the store has refused
   */
  async put(family, entries) {
    const refused = await this.#set(family, entries)
    const kept = refused.length === 0 ? entries : entries.filter(({ id }) => !refused.some((failure) => failure.id === id))
    if (this.tx) await this.#verify(family, kept)
    if (kept.length === 0) return refused
    let written = this.#written.get(family)
    if (!written) this.#written.set(family, (written = new Set()))
    for (const { id } of kept) written.add(id)
    return refused
  }

  /**
   * @param {string} family
   * @param {Entry[]} entries
   * @returns {Promise<ImportFailure[]>}
   */
  async #set(family, entries) {
    try {
      await this.#write(family, entries)
      return []
    } catch (error) {
      const { name, code, message } = /** @type {any} */ (error)
      if (code !== 'ERR_CASK_INVALID_ARGUMENT' || name === 'CaskError') throw error
      const [entry] = entries
      if (entries.length === 1 && entry) {
        const { id, file } = entry
        return [{ ...(file === undefined ? {} : { file }), type: family, id, reason: 'refused', message }]
      }
      // The whole of it was refused for some of its values.
      const half = Math.ceil(entries.length / 2)
      return [...await this.#set(family, entries.slice(0, half)), ...await this.#set(family, entries.slice(half))]
    }
  }

  /**
   * @param {string} family
   * @param {Entry[]} entries
   */
  async #write(family, entries) {
    /** @type {Record<string, unknown>} */
    const records = Object.create(null)
    for (const { id, value } of entries) records[id] = value
    if (this.tx) await this.tx.transaction((tx) => tx.set({ [family]: records }), undefined, this.step)
    else packBatch(new Writer(Buffer.allocUnsafe(1024)), { [family]: records })
  }

  /**
   * @param {string} family
   * @param {Entry[]} entries
   */
  async #verify(family, entries) {
    /** @type {Record<string, unknown>} */
    const stored = await this.account.keys.get(/** @type {any} */ (family), entries.map(({ id }) => id))
    for (const { id, value } of entries) {
      if (Object.hasOwn(stored, id) && sameRecord(family, stored[id], value)) continue
      throw new CaskError('ERR_CASK_INTERNAL', `record ${id} of ${family} comes back otherwise than it was imported; the import has stopped, and the account has no creds`)
    }
  }

  /** Number of records by family. */
  counts() {
    return Object.fromEntries([...this.#written].map(([family, { size }]) => [family, size]))
  }

  /**
   * Makes the account whole: all of it is there from now on.
   * @param {unknown} creds none where the account is to have its records alone
   */
  async finish(creds) {
    const { account } = this
    await this.#commit(async (tx) => {
      // First, since that locks them.
      if (creds !== undefined) await tx.setCreds(/** @type {any} */ (creds))
      if (await account.loadCreds()) throw takenError(account)
      this.#checkUntouched(await unfinishedImport(tx))
      await tx.set({ [UNFINISHED_FAMILY]: { [UNFINISHED_ID]: null } })
    })
    if (creds !== undefined && !sameValue(await account.loadCreds(), creds)) {
      throw new CaskError('ERR_CASK_INTERNAL', `the creds of account ${account.name} come back otherwise than they were imported; do not use it`, { account: account.name })
    }
    // Whoever imports may remove the source next.
    await this.inside.flush()
  }

  /**
   * Refuses to end where somebody else has written to the account.
   * @param {{ run: string } | undefined} unfinished
   */
  #checkUntouched(unfinished) {
    const counts = this.inside.counts()
    counts.delete(UNFINISHED_FAMILY)
    const isWhole = counts.size === this.#written.size && [...this.#written].every(([family, { size }]) => counts.get(family) === size)
    if (unfinished?.run === this.#run && isWhole) return
    const { name } = this.account
    throw new CaskError('ERR_CASK_INVALID_ARGUMENT', `somebody else has changed records of account ${name} during the import; see to it that nobody uses it, and run the import again`, {
      account: name
    })
  }

  /** @param {(tx: Transaction) => Promise<void>} work */
  #commit(work) {
    const tx = /** @type {Transaction} */ (this.tx)
    return tx.transaction(work, FIRST_CREDS, this.step)
  }
}

/**
 * @param {Account} account
 * @param {unknown} [unfinished]
 */
function takenError({ name }, unfinished) {
  const what = unfinished ? 'has creds although an import into it has not ended' : 'has creds already, and not those that are to be imported'
  return new CaskError(
    'ERR_CASK_INVALID_ARGUMENT',
    `account ${name} ${what}; import into another one, or give it up first: await account.drop(), then import into cask.account('${name}')`,
    { argument: 'account', account: name }
  )
}

/**
 * Runs an import while nobody else imports into the account, outside of whatever transaction is around the call.
 * @template T
 * @param {Account} account
 * @param {Inside} inside
 * @param {{ from: string, signal?: AbortSignal, dryRun?: boolean }} options
 * @param {(run: AccountImport) => Promise<T>} work
 * @returns {Promise<T>}
 */
async function importInto(account, inside, { from, signal, dryRun }, work) {
  checkSignal(signal, 'the import')
  if (dryRun) return runInside(undefined, () => work(new AccountImport(account, inside, from, undefined, signal)))
  // Until its turn comes; from then on it looks at the signal between its steps, so that nothing of it goes on behind its end.
  const waiting = new AbortController()
  const abort = () => waiting.abort()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    return await runInside(undefined, () => inside.begin((tx) => {
      signal?.removeEventListener('abort', abort)
      return runInside(undefined, () => work(new AccountImport(account, inside, from, tx, signal)))
    }, IMPORT, waiting.signal))
  } catch (error) {
    if (waiting.signal.aborted || /** @type {any} */ (error)?.code === 'ERR_CASK_ABORTED') checkSignal(signal, 'the import')
    throw error
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

module.exports = { AccountImport, importInto }
