'use strict'

const { COMMON, KEYED } = require('../command.js')
const { bytesIn, checkIsCask, withCask } = require('../casks.js')
const { size } = require('../words.js')

/** @type {import('../command.js').Command} */
const command = {
  name: 'compact',
  summary: 'Rewrites what is mostly garbage of a cask, so that it takes less room',
  positionals: [{ name: 'CASK', text: 'Folder of the cask.' }],
  options: { ...KEYED, ...COMMON },
  notes: ['An open cask does this by itself in the background. It may be interrupted at any moment: no record is lost, and the next opening clears away what is left.'],
  examples: [{ line: 'npx baileys-cask compact ./auth', text: 'Before a copy, or on a disk that is nearly full.' }],
  run: async (context) => {
    const [path = ''] = context.positionals
    checkIsCask(path)
    // Opening begins with it by itself, so what this call has left to do says little: the folder tells.
    const diskBytesBefore = bytesIn(path)
    await withCask(context, path, (cask) => {
      context.progress('compacting')
      return cask.compact()
    })
    const diskBytesAfter = bytesIn(path)
    return {
      result: { diskBytesBefore, diskBytesAfter },
      show: (screen) => {
        const what = diskBytesAfter < diskBytesBefore ? `${path} took ${size(diskBytesBefore)} and takes` : `nothing was worth it; ${path} takes`
        screen.line({ style: 'green', text: 'Compacted' }, `: ${what} ${size(diskBytesAfter)}.`)
      }
    }
  }
}

module.exports = { command }
