// Takes an account out to a folder of Baileys' own, and back:
//
//   node examples/there-and-back.mjs out cask-folder account auth_info_baileys
//   node examples/there-and-back.mjs back cask-folder account auth_info_baileys
//
// Stop the socket first, both times: a ratchet turns only once, so an account lives in one place. `back` replaces what the cask has of it.
import { realpathSync } from 'node:fs'
import { exportMultiFile, importMultiFile, openCask } from 'baileys-cask'

/** Writes the account to the folder; it stays in the cask too, where it must not be used from now on. */
export async function takeOut(path, name, folder) {
  const cask = await openCask({ path, create: false })
  try {
    return await exportMultiFile(cask.account(name), folder)
  } finally {
    await cask.close()
  }
}

/** Puts the folder's account in the place of the cask's. */
export async function bringBack(path, name, folder) {
  const cask = await openCask({ path, create: false })
  try {
    // Read and checked whole before anything is removed.
    const check = await importMultiFile(folder, cask.account(`${name}, checked`), { dryRun: true })
    if (!check.complete) throw new Error(`the folder is not whole: ${check.failed.map(({ file, reason }) => `${file} is ${reason}`).join(', ')}`)
    // What was exported is older than the folder, and old ratchets are worse than none.
    await cask.account(name).drop()
    return await importMultiFile(folder, cask.account(name))
  } finally {
    await cask.close()
  }
}

if (import.meta.filename === realpathSync(process.argv[1])) {
  const [, , way, path, name, folder] = process.argv
  if (!['out', 'back'].includes(way) || !folder) {
    console.error('usage: node examples/there-and-back.mjs out|back cask-folder account folder')
    process.exit(2)
  }
  const { records } = await (way === 'out' ? takeOut : bringBack)(path, name, folder)
  console.log(`${Object.values(records).reduce((sum, count) => sum + count, 0)} records moved`)
}
