import { closeSync, fdatasyncSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { readFiles } from './auth-folder.mjs'
import { awaitWith } from './await-limits.mjs'
import { sessions } from './data.mjs'
import { messageBetweenThreads } from './message-limit.mjs'

/** What one stored session amounts to in a log: its JSON and some 200 bytes of key, header and check. */
const FRAME_BYTES = 2200
const PREALLOCATED_BYTES = 16 << 20

const frame = Buffer.alloc(FRAME_BYTES, 0x61)

/** Appends for one round to a file of its own, so that a run does not fill the page cache with what nobody reads. */
const append = async dir => {
  mkdirSync(dir, { recursive: true })
  const file = join(dir, 'append')
  let fd
  return {
    before() {
      fd = openSync(file, 'a')
    },
    run(n) {
      for (let i = 0; i < n; i++) writeSync(fd, frame)
    },
    after() {
      closeSync(fd)
      unlinkSync(file)
    }
  }
}

const appendSync = async dir => {
  mkdirSync(dir, { recursive: true })
  const fd = openSync(join(dir, 'append-sync'), 'a')
  return {
    run(n) {
      for (let i = 0; i < n; i++) {
        writeSync(fd, frame)
        fdatasyncSync(fd)
      }
    },
    close: () => closeSync(fd)
  }
}

const overwriteSync = async dir => {
  mkdirSync(dir, { recursive: true })
  const fd = openSync(join(dir, 'overwrite-sync'), 'w')
  writeSync(fd, Buffer.alloc(PREALLOCATED_BYTES))
  fdatasyncSync(fd)
  let position = 0
  return {
    run(n) {
      for (let i = 0; i < n; i++) {
        if (position + FRAME_BYTES > PREALLOCATED_BYTES) position = 0
        position += writeSync(fd, frame, 0, FRAME_BYTES, position)
        fdatasyncSync(fd)
      }
    },
    close: () => closeSync(fd)
  }
}

const jsonEncode = async () => {
  const values = await sessions()
  return {
    run(n) {
      let bytes = 0
      for (let i = 0; i < n; i++) bytes += JSON.stringify(values[i & (values.length - 1)]).length
      return void bytes
    }
  }
}

const jsonDecode = async () => {
  const texts = (await sessions()).map(value => JSON.stringify(value))
  return {
    run(n) {
      let last
      for (let i = 0; i < n; i++) last = JSON.parse(texts[i & (texts.length - 1)])
      return void last
    }
  }
}

/** What this machine allows at best: no store, one thread, plain system calls or plain V8. */
export const limits = {
  append: { label: '[limit] append 2.2 KB', open: append },
  'append-sync': { label: '[limit] append + fdatasync', open: appendSync },
  'overwrite-sync': { label: '[limit] overwrite preallocated + fdatasync', open: overwriteSync },
  'json-encode': { label: '[limit] JSON.stringify', open: jsonEncode },
  'json-decode': { label: '[limit] JSON.parse', open: jsonDecode },
  await: { label: '[limit] await', open: awaitWith(0) },
  'await-storage': { label: '[limit] await, one AsyncLocalStorage', open: awaitWith(1) },
  'read-files': { label: '[limit] readFile, 16 in flight', open: readFiles },
  message: { label: '[limit] message to another thread', open: messageBetweenThreads }
}
