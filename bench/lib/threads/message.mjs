// One of two threads that send a message to and fro, with the time at which it was sent.
import { parentPort, workerData } from 'node:worker_threads'
import { answerer } from '../calls.mjs'

const { port } = workerData
/** One clock for all threads. */
const now = process.hrtime.bigint
const send = () => port.postMessage(now())
/** What is under way: how many messages come, how many are left to send, what those that came took, and whom to tell. */
let game

port.on('message', sent => {
  game.tookUs.push(Number(now() - sent) / 1000)
  if (game.toSend-- > 0) send()
  if (game.tookUs.length === game.count) game.end(game.tookUs)
})

parentPort.on('message', answerer({
  /** Each of the two sends `count` messages; one of them begins. */
  expect({ count }) {
    game = { count, toSend: count, tookUs: [] }
    game.ended = new Promise(end => {
      game.end = end
    })
  },
  begin() {
    game.toSend--
    send()
  },
  ended: () => game.ended,
  close() {
    port.close()
    setImmediate(() => parentPort.close())
  }
}, message => parentPort.postMessage(message)))
