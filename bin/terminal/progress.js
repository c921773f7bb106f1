'use strict'

const { beginning } = require('./width.js')

/** Nothing is shown of what is over sooner. */
const QUIET_MS = 1000
const REDRAW_MS = 100
/** To the beginning of the line, and away with what stands there. */
const CLEAR = '\r\u001b[K'
const LONGEST_BAR = 30
const SHORTEST_BAR = 8

/**
 * A line that shows how far something is: a bar where it is known how much there is to do, else the time that has passed. It is drawn
 * on a terminal only, and goes when the work has ended.
 */
class Progress {
  #stream
  #label
  #began = performance.now()
  #done = /** @type {number | undefined} */ (undefined)
  #total = /** @type {number | undefined} */ (undefined)
  #timer
  #isDrawn = false

  /**
   * @param {NodeJS.WriteStream | undefined} stream nothing is drawn without one
   * @param {string} label visible as it is
   */
  constructor(stream, label) {
    this.#stream = stream
    this.#label = label
    if (stream) this.#timer = setInterval(() => this.#tick(), REDRAW_MS)
    this.#timer?.unref()
  }

  /** @param {{ done: number, total?: number }} progress */
  update({ done, total }) {
    this.#done = done
    this.#total = total
  }

  end() {
    clearInterval(this.#timer)
    this.clear()
  }

  /** Makes room for a message. */
  clear() {
    if (this.#isDrawn) this.#stream?.write(CLEAR)
    this.#isDrawn = false
  }

  #tick() {
    if (performance.now() - this.#began < QUIET_MS) return
    // The last column stays free: some terminals go to the next line there.
    const width = (this.#stream?.columns || 80) - 1
    this.#isDrawn = true
    this.#stream?.write(CLEAR + progressLine({ label: this.#label, done: this.#done, total: this.#total, ms: performance.now() - this.#began }, width))
  }
}

/**
 * @param {{ label: string, done?: number, total?: number, ms: number }} state
 * @param {number} width
 */
function progressLine({ label, done, total, ms }, width) {
  const seconds = `${Math.floor(ms / 1000)} s`
  if (done === undefined || !total) return beginning(done ? `${label}  ${done}  ${seconds}` : `${label}  ${seconds}`, width)
  const part = Math.min(done / total, 1)
  const percent = `${Math.floor(part * 100)}%`.padStart(4)
  // What there is no room for goes, the least needed first.
  for (const [head, tail] of [[`${label} `, `${percent}  ${done} of ${total}  ${seconds}`], [`${label} `, percent], ['', percent]]) {
    const room = width - `${head}[] ${tail}`.length
    if (room < SHORTEST_BAR) continue
    const length = Math.min(room, LONGEST_BAR)
    const filled = Math.floor(part * length)
    return `${head}[${'#'.repeat(filled)}${'-'.repeat(length - filled)}] ${tail}`
  }
  return beginning(percent.trim(), width)
}

module.exports = { Progress, progressLine }
