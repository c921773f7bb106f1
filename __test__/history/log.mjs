/**
 * What survives its thread: levels written into shared memory whenever they change. A thread that ends in the middle of an entry
 * leaves the ones before it.
 */
const BYTES = 16 * 1024 * 1024

export class Log {
  #used
  #bytes
  #encoder = new TextEncoder()

  constructor(buffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer
    this.#used = new Int32Array(buffer, 0, 1)
    this.#bytes = Buffer.from(buffer, 4)
  }

  /** Keeps what a level is now. */
  keep = level => {
    const entry = this.#encoder.encode(`${JSON.stringify(level)}\n`)
    const at = this.#used[0]
    if (at + entry.length > this.#bytes.length) throw new Error('the log is full')
    this.#bytes.set(entry, at)
    // What is counted is there.
    Atomics.store(this.#used, 0, at + entry.length)
  }

  /** Every level as it was kept last. */
  get transactions() {
    const lines = this.#bytes.toString('utf8', 0, Atomics.load(this.#used, 0)).split('\n').slice(0, -1)
    const levels = new Map(lines.map(line => JSON.parse(line)).map(level => [level.id, level]))
    // In JSON there is no Infinity.
    for (const { operations } of levels.values()) for (const operation of operations) operation.end ??= Infinity
    return [...levels.values()]
  }
}
