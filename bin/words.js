'use strict'

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB']

/** @param {number} bytes */
function size(bytes) {
  if (bytes < 1024) return counted(bytes, 'byte')
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length)
  return `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power - 1]}`
}

module.exports = { counted, size }
