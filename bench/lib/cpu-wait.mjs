import { openSync, readSync } from 'node:fs'

/**
 * Milliseconds that this thread has been ready to run while the machine ran something else, since it began: what it takes from a latency is
 * the noise of a busy machine. Sleeping and waiting for a lock is no part of it. Always 0 where the system does not say.
 */
export const cpuWait = (() => {
  let file
  try {
    file = openSync('/proc/thread-self/schedstat')
  } catch {
    return () => 0
  }
  const bytes = Buffer.alloc(128)
  // Nanoseconds on a processor, nanoseconds ready but not on one, times on one.
  return () => Number(bytes.latin1Slice(0, readSync(file, bytes, 0, bytes.length, 0)).split(' ')[1]) / 1e6
})()

/** From here on a call is long enough for what the machine did meanwhile to be looked at. */
const LONG_MS = 0.2

/** Takes from what calls took the time in which the machine ran something else. */
export class BusyClock {
  #waited = cpuWait()

  /** Now and then, between calls: what the thread has waited until now is no call's. */
  refresh() {
    this.#waited = cpuWait()
  }

  /** What is left of a call that has just ended and took so many milliseconds. */
  net(ms) {
    if (ms < LONG_MS) return ms
    const before = this.#waited
    this.refresh()
    return Math.max(0, ms - (this.#waited - before))
  }
}
