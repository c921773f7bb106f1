// Writes to a cask and is killed with it open: `node killed-main.mjs PATH OPTIONS`, OPTIONS in JSON, the key of a sealed one in hexadecimal.
import { openCask } from 'baileys-cask'

const [path, json] = process.argv.slice(2)
const { encryptionKey, ...options } = JSON.parse(json)
const cask = await openCask({ path, ...options, ...(encryptionKey && { encryptionKey: Buffer.from(encryptionKey, 'hex') }) })
const { keys } = cask.account('shop')
for (let n = 0; n < 30; n++) await keys.set({ session: { [`${n}.0`]: Buffer.alloc(3000, n) }, 'lid-mapping': { last: String(n) } })
await keys.set({ session: { '3.0': null } })
await cask.account('shop').saveCreds({ registrationId: 5 })
process.kill(process.pid, 'SIGKILL')
