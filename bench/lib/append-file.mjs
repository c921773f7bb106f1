import { close, closeSync, fdatasync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const LENGTH = 16 << 20
const SYNC_MS = 1000

/** A file that is appended to, and nothing else. */
export const appendOnly = dir => {
  mkdirSync(dir, { recursive: true })
  const file = openSync(join(dir, 'log'), 'a')
  return { append: text => writeSync(file, text), close: () => closeSync(file) }
}

/** The same, synced once a second in the background, with a new file every 16 MiB; the one before goes with the next sync. */
export const appendAndSync = dir => {
  mkdirSync(dir, { recursive: true })
  let count = 0
  let left = []
  const begin = () => {
    const path = join(dir, `log-${count++}`)
    return { path, fd: openSync(path, 'a'), length: 0 }
  }
  let file = begin()
  let syncing = Promise.resolve()
  const sync = async () => {
    const [gone, { fd }] = [left, file]
    left = []
    await promisify(fdatasync)(fd)
    for (const { fd, path } of gone) {
      unlinkSync(path)
      await promisify(close)(fd)
    }
  }
  const timer = setInterval(() => {
    syncing = syncing.then(sync)
  }, SYNC_MS)
  return {
    append(text) {
      file.length += writeSync(file.fd, text)
      if (file.length < LENGTH) return
      left.push(file)
      file = begin()
    },
    async close() {
      clearInterval(timer)
      await syncing
      for (const { fd } of [...left, file]) closeSync(fd)
    }
  }
}
