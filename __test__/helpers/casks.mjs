import { describe } from 'node:test'
import { openCask } from 'baileys-cask'
import { afterwards } from './cleanup.mjs'
import { newPath } from './folders.mjs'
import { within } from './gate.mjs'

/** Families that `contents` looks at beside the ones a test names. */
const FAMILIES = [
  'pre-key', 'session', 'sender-key', 'sender-key-memory', 'app-state-sync-key', 'app-state-sync-version',
  'lid-mapping', 'device-list', 'tctoken', 'identity-key', 'other',
]

/** Opens a cask that is closed when the test ends, if it is still open then. */
export async function open(t, options) {
  const cask = await openCask(options)
  afterwards(t, () => within(10_000, 'the cask closes', cask.close()))
  return cask
}

/** The same in a place (see `inEveryPlace`), with the keys of its first account. */
export async function openKeys(t, place, options) {
  const cask = await open(t, { ...await place.optionsFor(t), ...options })
  return { cask, keys: cask.account().keys }
}

/** Where a cask can be, each with what `openCask` takes. */
const PLACES = [
  { name: 'in memory', optionsFor: () => ({}) },
  { name: 'in a folder', isFile: true, optionsFor: t => ({ path: newPath(t) }) },
  { name: 'in a folder, power-safe', isFile: true, optionsFor: t => ({ path: newPath(t), durability: 'power' }) },
]

/** Runs one set of tests in every place. */
export function inEveryPlace(define) {
  for (const place of PLACES) describe(place.name, () => define(place))
}

/** The same, in folders only. */
export function inFolders(define) {
  for (const place of PLACES.filter(({ isFile }) => isFile)) describe(place.name, () => define(place))
}

export async function collect(iterable) {
  const items = []
  for await (const item of iterable) items.push(item)
  return items
}

/** All records of one family, in the order of their ids. */
export async function recordsOf(keys, family) {
  const records = await collect(keys.list(family))
  return records.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

/** Everything a cask holds, to be compared before and after. */
export async function contents(cask, families = []) {
  const found = {}
  for (const name of await cask.accounts()) {
    const account = cask.account(name)
    const records = {}
    for (const family of [...FAMILIES, ...families]) {
      const present = await recordsOf(account.keys, family)
      if (present.length > 0) records[family] = present
    }
    found[name] = { creds: await account.loadCreds(), records }
  }
  return found
}
