/** Numbers that look random and depend on the seed alone. */
export class Random {
  #state

  constructor(seed) {
    this.#state = seed >>> 0
  }

  /** Between 0 and 1 (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let bits = this.#state
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }

  below(limit) {
    return Math.floor(this.next() * limit)
  }

  between(low, high) {
    return low + this.below(high - low + 1)
  }

  chance(probability) {
    return this.next() < probability
  }

  pick(items) {
    return items[this.below(items.length)]
  }

  /** `count` different ones, in random order. */
  some(items, count) {
    const left = [...items]
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(this.below(left.length), 1)[0])
  }

  /** One of the keys of `weights`, each as often as its weight says. */
  weighted(weights) {
    const entries = Object.entries(weights).filter(([, weight]) => weight > 0)
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) if ((left -= weight) < 0) return name
    return entries.at(-1)[0]
  }

  /** Another sequence, which depends on this one's seed and on nothing that is drawn later. */
  fork() {
    return new Random(Math.floor(this.next() * 2 ** 32))
  }
}
