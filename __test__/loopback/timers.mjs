/**
 * Baileys leaves long timers behind that nothing clears, such as the 30 s limit of a pre-key upload that has long succeeded; they would keep a
 * test process alive. While a server runs (its own handle keeps the process alive then), timers of ten seconds and more do not count.
 * `uncountLongTimers()` gives a function that ends this.
 */
const LONG_MS = 10_000
const original = globalThis.setTimeout
let users = 0

function setTimeoutUncounted(callback, ms, ...rest) {
  const timer = original(callback, ms, ...rest)
  return ms >= LONG_MS ? timer.unref() : timer
}

export function uncountLongTimers() {
  if (users++ === 0) globalThis.setTimeout = Object.assign(setTimeoutUncounted, original)
  return () => {
    if (--users === 0) globalThis.setTimeout = original
  }
}
