'use strict'

const { threadId } = require('node:worker_threads')
const { Writer } = require('./codec/writer.js')
const { fromCore } = require('./errors.js')
const { loadAddon } = require('./load-addon.js')

const binding = loadAddon(() => require('../binding.js'))

/**
 * What the core answers where a call has failed, has not ended, waits for locks, has an answer larger than the scratch buffer, reads
 * from disk, or waits for locks before it reads.
 */
const FAILED = -1
const LATER = 1
const WAITS = 2
const OVERFLOWED = -2
const READ_LATER = -3
const READ_WAITS = -4

/** Bytes of the scratch buffer at first, and the most it keeps. */
const SCRATCH_BYTES = 256 * 1024
const KEPT_SCRATCH_BYTES = 4 * 1024 * 1024
/** A call made by user code that runs inside another call gets a buffer of its own. */
const SPARE_BYTES = 4096

/** @type {Buffer} */
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
const writer = new Writer(scratch)
let borrowed = false

/** Tells this load of the package from others in this thread: their handles mean nothing here. */
const HOME = {}

/**
 * A call that waits.
 * @typedef {object} PendingWait
 * @property {(failure: string | undefined) => void} settle told how it ended
 * @property {import('./stacks.js').Stack} [stack] where it was made
 */

/** Calls that wait, by ticket. @type {Map<number, PendingWait>} */
const waits = new Map()
/** Those that wait for what may never come, by ticket: no process stays alive for them. @type {Map<number, PendingWait>} */
const listeners = new Map()
let nextTicket = 1
const port = binding.openPort(scratch, settleWaiting, threadId)
/** What every transaction calls. */
const calls = binding.hotCalls()

/** Called by the core, on this thread, when tickets have been settled. */
function settleWaiting() {
  let count
  let room
  do {
    // What is let go on may make the buffer larger.
    room = Math.floor(scratch.length / 8)
    count = binding.takeSettled(port)
    // One is the common case. Of several, the buffer may be used by what the first one lets go on.
    if (count === 1) settleTicket(scratch.readUInt32LE(0), scratch.readUInt32LE(4))
    else if (count > 1) {
      const settled = new Uint32Array(count * 2)
      for (let i = 0; i < settled.length; i++) settled[i] = scratch.readUInt32LE(i * 4)
      for (let i = 0; i < settled.length; i += 2) settleTicket(/** @type {number} */ (settled[i]), /** @type {number} */ (settled[i + 1]))
    }
  } while (count === room)
  if (waits.size === 0) binding.keepAlive(port, false)
}

/**
 * @param {number} ticket
 * @param {number} outcome 1 where it ended well
 */
function settleTicket(ticket, outcome) {
  const wait = waits.get(ticket) ?? listeners.get(ticket)
  if (!waits.delete(ticket)) listeners.delete(ticket)
  const failure = outcome === 1 ? undefined : binding.ticketError(port, ticket)
  wait?.settle(failure)
}

/** Settles what the call before has settled, without waiting for the wake-up: the next of a line goes on in this turn. */
function settleNow() {
  if (waits.size === 0) return
  // In the middle of another call, where user code runs, the buffer holds what that call packs or reads.
  if (borrowed) queueMicrotask(settleWaiting)
  else settleWaiting()
}

/** The number to hand to a call that may have to wait. It is taken only by `enlist`. */
function ticket() {
  return nextTicket
}

function takeTicket() {
  const ticket = nextTicket
  do nextTicket = nextTicket === 0xffffffff ? 1 : nextTicket + 1
  while (waits.has(nextTicket) || listeners.has(nextTicket))
  return ticket
}

/**
 * Lets somebody hear of the ticket that was handed to the call before, if it is ever settled.
 * @param {(failure: string | undefined) => void} hear
 * @returns {() => void} ends that
 */
function listen(hear) {
  const ticket = takeTicket()
  listeners.set(ticket, { settle: hear })
  return () => void listeners.delete(ticket)
}

/**
 * Lets a wait hear of the ticket that was handed to the call before. While anything waits, the process stays alive.
 * @param {PendingWait} wait
 * @returns {number} the ticket
 */
function enlist(wait) {
  const ticket = takeTicket()
  if (waits.size === 0) binding.keepAlive(port, true)
  waits.set(ticket, wait)
  return ticket
}

/**
 * Waits for the ticket that was handed to the call before.
 * @param {import('./stacks.js').Stack} [stack] where that was, for those who look at locks
 * @returns {Promise<number>} the ticket
 */
async function settled(stack) {
  let ticket = 0
  const failure = await new Promise((settle) => (ticket = enlist({ settle, stack })))
  // Made here and not where it was settled, so that its stack leads to the caller.
  if (failure !== undefined) throw fromCore(failure)
  return ticket
}

/** The error of the call before, which answered that it failed. */
function lastError() {
  return fromCore(binding.lastError(port))
}

/**
 * A writer at its start: the one over the scratch buffer, or a spare one where user code runs inside another call.
 * @returns {Writer}
 */
function borrowWriter() {
  if (borrowed) return new Writer(Buffer.allocUnsafe(SPARE_BYTES))
  borrowed = true
  writer.offset = 0
  return writer
}

/** @param {Writer} used */
function returnWriter(used) {
  if (used !== writer) return
  borrowed = false
  if (writer.buffer === scratch) return
  if (writer.buffer.length <= KEPT_SCRATCH_BYTES) {
    scratch = writer.buffer
    binding.setScratch(port, scratch)
  } else {
    writer.buffer = scratch
  }
}

/**
 * Whether what a writer holds lies in the scratch buffer.
 * @param {Writer} used
 */
function inScratch(used) {
  return used.buffer === scratch
}

/** Takes an answer that did not fit into the scratch buffer. */
function takeOverflow() {
  const answer = Buffer.allocUnsafeSlow(binding.overflowLength(port))
  binding.copyOverflow(port, answer)
  return answer
}

module.exports = {
  HOME,
  binding,
  calls,
  port,
  waits,
  FAILED,
  LATER,
  WAITS,
  OVERFLOWED,
  READ_LATER,
  READ_WAITS,
  ticket,
  enlist,
  listen,
  settled,
  lastError,
  settleNow,
  borrowWriter,
  returnWriter,
  inScratch,
  takeOverflow
}
