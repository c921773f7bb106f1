// The far end of a worker thread or a child process: runs functions that a test sends over as text. See remote.mjs.
import { parentPort, threadId } from 'node:worker_threads'
import * as package_ from 'baileys-cask'
import { loadAgain } from './copies.mjs'
import { gate } from './gate.mjs'

const post = message => (parentPort ? parentPort.postMessage(message) : process.send(message))
const gates = new Map()
/** What sent functions work with; `kept` is theirs, from call to call. */
const scope = {
  ...package_,
  loadAgain,
  kept: {},
  threadId,
  /** Hears nothing more, so that only what else is pending keeps this end alive. */
  stopListening: () => (parentPort ? parentPort.close() : process.disconnect()),
  /** Tells the test that a point was reached. */
  say: value => post({ said: value }),
  /** Waits for the test to open a gate by name. */
  gate: name => {
    if (!gates.has(name)) gates.set(name, gate())
    return gates.get(name).opened
  },
}

const describeError = error => ({
  name: error?.name,
  message: error?.message ?? String(error),
  ...(typeof error === 'object' ? JSON.parse(JSON.stringify(error)) : {}),
})

async function hear({ call, source, argument, open }) {
  if (open) {
    scope.gate(open)
    gates.get(open).open()
    return
  }
  try {
    const value = await (0, eval)(`(${source})`)(scope, argument)
    post({ call, value })
  } catch (error) {
    post({ call, error: describeError(error) })
  }
}

if (parentPort) parentPort.on('message', hear)
else process.on('message', hear)
post({ ready: true })
