'use strict'

const { resolve } = require('node:path')
const { bytesIn } = require('../casks.js')

/** How often a folder that is being written is looked at. */
const LOOK_MS = 200

/**
 * What a new cask is called while it is written; nothing opens a folder of that name.
 * @param {string} target
 */
function partialOf(target) {
  return `${resolve(target)}.partial`
}

/**
 * Shows how far a new folder has grown while something is done. The core does not tell, the folder does.
 * @template T
 * @param {import('../command.js').Context} context
 * @param {{ label: string, target: string, total?: number }} what
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function watched(context, { label, target, total }, work) {
  const progress = context.progress(label)
  const timer = setInterval(() => {
    if (total !== undefined) progress.update({ done: Math.min(bytesIn(partialOf(target)), total), total })
  }, LOOK_MS)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}

module.exports = { partialOf, watched }
