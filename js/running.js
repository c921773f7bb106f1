'use strict'

/**
 * Adds something that has not ended to a set of promises.
 * @param {Set<Promise<unknown>>} running
 * @returns {() => void} to be called when it has ended
 */
function addTo(running) {
  /** @type {() => void} */
  let end = () => {}
  const ended = new Promise((resolve) => {
    end = () => {
      running.delete(ended)
      resolve(undefined)
    }
  })
  running.add(ended)
  return end
}

module.exports = { addTo }
