import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterwards } from './cleanup.mjs'

/** A new empty folder, mode 700, that goes with the test. */
export function tempFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), 'cask-test-'))
  chmodSync(folder, 0o700)
  afterwards(t, () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A path in a new folder at which nothing is yet. */
export const newPath = (t, name = 'cask') => join(tempFolder(t), name)

/** Name, length and digest of every file under a folder: two images are equal where nothing was changed. */
export function imageOf(folder) {
  const image = {}
  for (const name of readdirSync(folder, { recursive: true }).map(String).sort()) {
    const path = join(folder, name)
    const stat = statSync(path)
    image[name] = stat.isDirectory() ? 'folder' : `${stat.size} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
  }
  return image
}

/** The same without what says who has the folder. */
export function logOf(folder) {
  const { owner, lock, ...log } = imageOf(folder)
  return log
}

export const copyFolder = (from, to) => cpSync(from, to, { recursive: true })

/** Lengths of the files in a folder. */
export const sizesIn = folder => readdirSync(folder).map(name => statSync(join(folder, name)).size)

/** How many segments of a cask there have been and are no more. */
export function goneSegments(folder) {
  const numbers = readdirSync(folder).filter(name => name.endsWith('.seg')).map(name => parseInt(name, 16))
  return Math.max(0, ...numbers) - numbers.length
}
