// Counts in a cask that it shares with the others; then, when it is told to, holds the counter for ever.
import { parentPort, workerData } from 'node:worker_threads'
import { openCask } from 'baileys-cask'

const cask = await openCask({ path: workerData.path })
const { keys } = cask.account()
for (let round = 0; round < workerData.rounds; round++) {
  await keys.transaction(async tx => {
    const { n } = await tx.get('counter', ['n'])
    await tx.set({ counter: { n: n + 1 } })
  }, 'counter')
}
parentPort.on('message', () => void keys.transaction(async tx => {
  await tx.get('counter', ['n'])
  parentPort.postMessage('held')
  await new Promise(() => {})
}, 'counter'))
parentPort.postMessage('done')
