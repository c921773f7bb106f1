import { quantile } from './measure.mjs'

/** What each of so many calls took, in milliseconds. The clock is read twice a call; nothing is allocated. */
export class Latencies {
  #all
  #count = 0

  constructor(most) {
    this.#all = new Float64Array(most)
  }

  add(ms) {
    if (this.#count < this.#all.length) this.#all[this.#count] = ms
    this.#count++
  }

  /** Begins again, in the same memory: a new one each time would be work for V8's collector. */
  reset() {
    this.#count = 0
  }

  get count() {
    return this.#count
  }

  quantile(p) {
    return quantile(this.#all.subarray(0, Math.min(this.#count, this.#all.length)), p)
  }
}

/** In words, for a line of facts. */
export const showMs = ms => Math.abs(ms) < 0.1 ? `${(ms * 1000).toFixed(1)} us` : `${ms.toFixed(ms < 10 ? 2 : 1)} ms`
export const showMiB = bytes => `${(bytes / 2 ** 20).toFixed(1)} MiB`
