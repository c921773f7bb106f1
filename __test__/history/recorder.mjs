/**
 * What happened, as the checker takes it.
 *
 * A history is `{ kinds, transactions }`. `kinds` names every record and whether it is a `'list'` (each write appends the writer's
 * version to what was there) or a `'register'` (each write replaces it). A value is always a list of versions, oldest first; a
 * register's has one. Every write has a version of its own, so that a value says who wrote it.
 *
 * A transaction is one level:
 *   id, status      'committed', 'aborted' or 'unknown' as its own promise said; of a joined child, what it handed to its parent
 *   begin, end      instants before the call and after its outcome; `ready`: when its work was done, before the commit began
 *   parent, nested  the level around it, and whether it joined it (`'join'`) or stands by itself (`'independent'`); `wasIndependent`:
 *                   whether it stood by itself at first
 *   is              a call by itself; absent for transactions
 *   isolation       `'label'`: what it read carries no claim, but where it is `alone`: nobody else touches what it does, except under
 *                   its label
 *   operations      `{ kind: 'read' | 'write', record, value, begin, end, refused }` in the order in which they were answered
 */

/** Counts instants. Over a shared buffer, the instants of several threads have one order. */
export class Clock {
  #ticks

  constructor(buffer = new SharedArrayBuffer(4)) {
    this.buffer = buffer
    this.#ticks = new Int32Array(buffer)
  }

  now() {
    return Atomics.add(this.#ticks, 0, 1) + 1
  }
}

export class Recorder {
  #clock
  #name
  #keep
  #lastTransaction = 0
  #lastVersion = 0
  transactions = []

  /**
   * Names of transactions and versions begin with `name`: it must be the recorder's own over all threads.
   * @param {(level: object) => void} [keep] is shown every level whenever it has changed
   */
  constructor(name, clock, keep = () => {}) {
    this.#name = name
    this.#clock = clock
    this.#keep = keep
  }

  version() {
    return `${this.#name}.${++this.#lastVersion}`
  }

  begin(properties = {}) {
    const begin = this.#clock.now()
    // A call by itself commits by itself: nothing is known of it between its begin and its end.
    return this.add({ status: 'unknown', ...properties, begin, ...properties.is && { ready: begin }, operations: [] })
  }

  /** Adds one that is over. */
  add(properties) {
    const level = { id: `T${this.#name}.${++this.#lastTransaction}`, ...properties }
    this.transactions.push(level)
    this.#keep(level)
    return level
  }

  /** The work is done; what comes now is the end. */
  ready(level) {
    level.ready ??= this.#clock.now()
  }

  end(level, status, error) {
    this.ready(level)
    level.status = status
    if (error !== undefined) level.error = error?.code ?? String(error?.message ?? error)
    level.end = this.#clock.now()
    this.#keep(level)
  }

  /** A call that its work did not await: what comes before the end is not over yet. */
  #notReady(level, at) {
    if (!level.is && level.ready !== undefined && level.end === undefined) level.ready = at
  }

  /** Runs a read; `valuesOf` gives record and value of everything that was found in its answer. */
  async read(level, call, valuesOf) {
    const begin = this.#clock.now()
    this.#notReady(level, begin)
    const answer = await call()
    const end = this.#clock.now()
    const values = valuesOf(answer)
    for (const [record, value] of values) level.operations.push({ kind: 'read', record, value, begin, end })
    this.#keep(level)
    return values
  }

  /** Runs a write of several records. A refused one is remembered too: whatever shows of it was never to be seen. */
  async write(level, values, call) {
    const begin = this.#clock.now()
    this.#notReady(level, begin)
    const operations = [...values].map(([record, value]) => ({ kind: 'write', record, value, begin, end: Infinity, refused: true }))
    level.operations.push(...operations)
    this.#keep(level)
    await call()
    const end = this.#clock.now()
    for (const operation of operations) Object.assign(operation, { end, refused: false })
    this.#keep(level)
  }
}

/** One history out of those of several recorders. */
export function merge(histories) {
  return {
    kinds: Object.assign({}, ...histories.map(({ kinds }) => kinds)),
    transactions: histories.flatMap(({ transactions }) => transactions),
  }
}
