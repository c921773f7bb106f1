/**
 * The book that the parent keeps of what its child has said about its keys. The child writes a line before it hands a batch to the
 * store and one after the store has acknowledged it; both are in the pipe before it goes on, so a kill cannot take them back.
 */
import { createHash } from 'node:crypto'

/** One text for values that are deep-equal: keys sorted, bytes as base64 whatever their class, absent members left out. */
function canonical(value) {
  if (value instanceof Uint8Array) return `<${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}>`
  if (Array.isArray(value)) return `[${value.map(canonical)}]`
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  const members = Object.keys(value).sort().filter(key => value[key] !== undefined)
  return `{${members.map(key => `${JSON.stringify(key)}:${canonical(value[key])}`)}}`
}

/** A short digest of a value; `null` where there is none. Keys never leave the process that uses them. */
export const digestOf = value =>
  value === null || value === undefined ? null : createHash('sha256').update(canonical(value)).digest('base64url').slice(0, 22)

/** The family under which the creds of an account stand in the ledger. */
export const CREDS = 'creds'

const nameOf = (account, family, id) => JSON.stringify([account, family, id])

export class Ledger {
  #acknowledged = new Map()
  #underWay = new Map()
  #stored = new Map()

  /** A batch is about to be handed to the store: `records` holds digests by family and id, `call` is what it serves. */
  begin(batch, { call, account, records }) {
    const digests = new Map()
    for (const [family, values] of Object.entries(records)) {
      for (const [id, digest] of Object.entries(values)) digests.set(nameOf(account, family, id), digest)
    }
    this.#underWay.set(batch, { call, digests })
  }

  /** The store has acknowledged the batch. */
  acknowledge(batch) {
    const { call, digests } = this.#underWay.get(batch)
    this.#underWay.delete(batch)
    for (const [name, digest] of digests) this.#acknowledged.set(name, digest)
    this.#noteStored(call, digests.keys())
  }

  /** How many records of a family were removed. */
  removed(family) {
    return [...this.#acknowledged].filter(([name, digest]) => digest === null && JSON.parse(name)[1] === family).length
  }

  /** Every record that was ever named, removed ones too, by account and family. */
  names() {
    const all = {}
    const underWay = [...this.#underWay.values()].flatMap(({ digests }) => [...digests.keys()])
    for (const name of new Set([...this.#acknowledged.keys(), ...underWay])) {
      const [account, family, id] = JSON.parse(name)
      const families = (all[account] ??= {})
      ;(families[family] ??= []).push(id)
    }
    return all
  }

  /**
   * Compares the store of a reopened process with the book, and takes what landed into it. `found` holds digests by account,
   * family and id. Legal are, exactly: every batch that was under way at the kill, whole or not at all; every other record as it
   * was last acknowledged, and removed where it was removed.
   *
   * Returns `present` (records that are there), `wrong` and `torn` (what is not legal), `landed` and `vanished` (batches under way), and
   * `stored`: the families that each call of the killed process had got into the store.
   */
  settle(found) {
    const digestFound = name => {
      const [account, family, id] = JSON.parse(name)
      return found[account]?.[family]?.[id] ?? null
    }
    const report = { present: 0, wrong: [], torn: [], landed: 0, vanished: 0 }
    for (const { call, digests } of this.#underWay.values()) {
      const changes = [...digests].filter(([name, digest]) => digest !== (this.#acknowledged.get(name) ?? null))
      const arrived = changes.filter(([name, digest]) => digestFound(name) === digest)
      for (const [name, digest] of arrived) this.#acknowledged.set(name, digest)
      this.#noteStored(call, arrived.map(([name]) => name))
      if (arrived.length === 0) report.vanished++
      else if (arrived.length === changes.length) report.landed++
      else report.torn.push({ arrived: arrived.length, of: changes.length })
    }
    for (const [name, expected] of this.#acknowledged) {
      const digest = digestFound(name)
      if (digest !== null) report.present++
      if (digest === expected) continue
      const [account, family, id] = JSON.parse(name)
      const fault = digest === null ? 'is gone' : expected === null ? 'is back after its removal' : 'is not what was acknowledged'
      report.wrong.push({ account, family, id, fault })
      this.#acknowledged.set(name, digest)
    }
    report.stored = this.#stored
    this.#underWay.clear()
    this.#stored = new Map()
    return report
  }

  #noteStored(call, names) {
    const families = this.#stored.get(call) ?? new Set()
    for (const name of names) families.add(JSON.parse(name)[1])
    this.#stored.set(call, families)
  }
}
