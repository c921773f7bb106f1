'use strict'

const { styleText } = require('node:util')
const { tableLines } = require('./table.js')
const { visible } = require('./visible.js')

/** @typedef {'bold' | 'dim' | 'red' | 'green' | 'yellow'} Style */
/** @typedef {string | number | { style: Style, text: string }} Piece part of a line; whatever it is, it is made visible first */

/**
 * Prints on a stream. Nothing that comes from a cask, a folder or an argument reaches a terminal but by way of this class, which lets
 * no control character through.
 */
class Screen {
  /**
   * @param {NodeJS.WriteStream} stream
   * @param {NodeJS.ProcessEnv} env
   */
  constructor(stream, env) {
    this.stream = stream
    this.isTerminal = Boolean(stream.isTTY)
    /** Whether the cursor can be moved. */
    this.canRedraw = this.isTerminal && env.TERM !== 'dumb'
    this.hasColors = this.isTerminal && !env.NO_COLOR && stream.hasColors()
  }

  /** Columns to fit into; nothing is fitted where it is no terminal. */
  get width() {
    return this.isTerminal ? this.stream.columns || 80 : undefined
  }

  /** @param {Piece[]} pieces */
  line(...pieces) {
    this.stream.write(`${pieces.map((piece) => (typeof piece === 'object' ? this.#styled(piece.style, piece.text) : visible(String(piece)))).join('')}\n`)
  }

  /**
   * @param {readonly import('./table.js').Column[]} columns
   * @param {readonly (readonly (string | number)[])[]} rows
   */
  table(columns, rows) {
    const lines = tableLines(columns, rows.map((row) => row.map((cell) => visible(String(cell)))), this.width)
    for (const [i, line] of lines.entries()) this.stream.write(`${i === 0 ? this.#painted('bold', line) : line}\n`)
  }

  /**
   * Lines that are of this program, or have been made visible.
   * @param {string} text
   */
  text(text) {
    this.stream.write(`${text}\n`)
  }

  /**
   * @param {Style} style
   * @param {string} text
   */
  #styled(style, text) {
    return this.#painted(style, visible(text))
  }

  /**
   * @param {Style} style
   * @param {string} text
   */
  #painted(style, text) {
    // Node.js 20 has it since 20.12.
    if (!this.hasColors || typeof styleText !== 'function') return text
    const paint = /** @type {(style: Style, text: string, options: { validateStream: boolean }) => string} */ (styleText)
    return paint(style, text, { validateStream: false })
  }
}

module.exports = { Screen }
