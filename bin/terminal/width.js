'use strict'

const { createInterface } = require('node:readline')
const { PassThrough } = require('node:stream')

/** Knows how many columns a text takes: Node.js measures for it with the tables of Unicode, which no package has to bring then. */
let ruler = /** @type {import('node:readline').Interface | undefined} */ (undefined)

/**
 * Columns that a text without control characters takes on a terminal.
 * @param {string} text
 */
function widthOf(text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  ruler ??= createInterface({ input: new PassThrough() })
  ruler.setPrompt(text)
  return ruler.getCursorPos().cols
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/**
 * The beginning of a text that fits, no character cut.
 * @param {string} text
 * @param {number} width
 */
function beginning(text, width) {
  return taken([...graphemes.segment(text)].map(({ segment }) => segment), width).join('')
}

/**
 * @param {string[]} characters
 * @param {number} width
 */
function taken(characters, width) {
  let used = 0
  const count = characters.findIndex((character) => (used += widthOf(character)) > width)
  return count < 0 ? characters : characters.slice(0, count)
}

const DOTS = '...'

/**
 * A text that fits, with dots in the place of its middle: ids differ at both ends.
 * @param {string} text
 * @param {number} width
 */
function shortened(text, width) {
  if (widthOf(text) <= width) return text
  if (width <= DOTS.length) return beginning(text, width)
  const characters = [...graphemes.segment(text)].map(({ segment }) => segment)
  const head = taken(characters, Math.ceil((width - DOTS.length) / 2)).join('')
  const tail = taken(characters.reverse(), Math.floor((width - DOTS.length) / 2)).reverse().join('')
  return `${head}${DOTS}${tail}`
}

/**
 * Lines of at most so many columns: broken at spaces where there are any, else anywhere.
 * @param {string} text
 * @param {number} width
 * @param {number} [first] columns that are taken on the first line already
 * @returns {string[]}
 */
function wrapped(text, width, first = 0) {
  const lines = []
  let line = ''
  let room = Math.max(width - first, 1)
  const next = () => {
    lines.push(line)
    line = ''
    room = width
  }
  for (let word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > room) next()
    else if (line !== '') word = ` ${word}`
    while (widthOf(line) + widthOf(word) > room) {
      const part = beginning(word, room - widthOf(line))
      // A character wider than the line has to go somewhere.
      const cut = part === '' && line === '' ? word.slice(0, [...graphemes.segment(word)][0]?.segment.length) : part
      line += cut
      word = word.slice(cut.length)
      next()
    }
    line += word
  }
  lines.push(line)
  return lines
}

module.exports = { widthOf, shortened, wrapped, beginning }
