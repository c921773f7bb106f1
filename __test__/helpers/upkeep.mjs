import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A session of some size. */
export const session = n => ({ version: 'v1', n, filler: String(n).repeat(200) })

/** Writes two accounts: sessions, a pre-key and creds. */
export async function fill(cask) {
  const [a, b] = [cask.account('a'), cask.account('b')]
  await a.keys.set({ session: { first: session(1) } })
  await a.keys.set({ session: { second: session(2) }, 'pre-key': { 1: { public: Buffer.alloc(32, 1), private: Buffer.alloc(32, 2) } } })
  await a.saveCreds({ registrationId: 7 })
  await b.keys.set({ session: { first: session(3) } })
}

/** Creds and sessions of all accounts. */
export async function contentsOf(cask) {
  const contents = {}
  for (const name of await cask.accounts()) {
    const account = cask.account(name)
    contents[name] = { creds: await account.loadCreds() }
    for await (const [id, value] of account.keys.list('session')) (contents[name].session ??= {})[id] = value
  }
  return contents
}

/** Changes one byte of a file. */
export function damage(path, at) {
  const bytes = readFileSync(path)
  bytes[at] ^= 0x40
  writeFileSync(path, bytes)
}

/** Changes one byte of the record with this id, which lies in the first segment. */
export function damageRecord(folder, id) {
  const file = join(folder, readdirSync(folder).find(name => name.endsWith('.seg')))
  damage(file, readFileSync(file).indexOf(id) + 10)
}

/** Demands that a call is refused as a mistake in an argument. */
export async function rejectsWith(call, type, argument) {
  await assert.rejects(async () => call(), error => {
    assert.ok(error instanceof type, `${call}: ${error}`)
    assert.deepEqual([error.code, error.argument], ['ERR_CASK_INVALID_ARGUMENT', argument], String(call))
    return true
  })
}
