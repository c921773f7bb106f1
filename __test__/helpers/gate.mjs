import { setTimeout as sleep } from 'node:timers/promises'

/** Something that a test opens by hand: `await gate.opened` passes once `gate.open()` was called. */
export function gate() {
  const { promise, resolve } = Promise.withResolvers?.() ?? withResolvers()
  return { opened: promise, open: resolve }
}

function withResolvers() {
  let resolve
  const promise = new Promise(settle => (resolve = settle))
  return { promise, resolve }
}

/** Fails with the name of what did not happen, instead of hanging the suite. */
export async function within(ms, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Tries until the condition holds; gives what it gave. */
export async function until(what, condition, ms = 10_000) {
  const deadline = performance.now() + ms
  for (;;) {
    const found = await condition()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(2)
  }
}

/** Lets everything that is ready to go on go on, several turns of the event loop long. */
export async function turns(count = 5) {
  for (let i = 0; i < count; i++) await new Promise(setImmediate)
}

/** Whether a promise is still open after everything that is ready has gone on. */
export async function isPending(promise) {
  let settled = false
  promise.then(() => (settled = true), () => (settled = true))
  await turns()
  return !settled
}

/** Repeats a call until it fails, and gives that error. */
export async function firstFailure(what, call, ms = 10_000) {
  return until(what, async () => {
    try {
      await call()
      return undefined
    } catch (error) {
      return error
    }
  }, ms)
}
