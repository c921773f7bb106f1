/** What the demo shows: colours and one live line where a person looks on, plain lines everywhere else. */

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, magenta: 35, cyan: 36 }
const HIDE_CURSOR = '\x1b[?25l'
const SHOW_CURSOR = '\x1b[?25h'
const CLEAR_LINE = '\r\x1b[2K'
const REDRAW_EVERY_MS = 50
const SPINNER = '|/-\\'

/** Whether the terminal can be expected to draw block and line characters. */
function drawsUnicode(env) {
  if (process.platform === 'win32') return Boolean(env.WT_SESSION || env.TERM_PROGRAM)
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '')
}

const lengthOf = text => text.replace(/\x1b\[\d+m/g, '').length
const padEnd = (text, width) => text + ' '.repeat(Math.max(0, width - lengthOf(text)))
const padStart = (text, width) => ' '.repeat(Math.max(0, width - lengthOf(text))) + text

/** Cuts to a visible width; colours stay whole. */
function cut(text, width) {
  if (lengthOf(text) <= width) return text
  let left = width - 1
  return text.replace(/(\x1b\[\d+m)|([\s\S])/g, (whole, code) => code ?? (left-- > 0 ? whole : ''))
}

export class Terminal {
  #out
  #fancy
  #glyphs
  #live = false
  #lastDrawn = 0
  #frames = 0
  #quarter = 0

  constructor(out = process.stdout, env = process.env) {
    this.#out = out
    this.#fancy = Boolean(out.isTTY) && !env.NO_COLOR && env.TERM !== 'dumb'
    this.#glyphs = this.#fancy && drawsUnicode(env)
      ? { full: '\u2588', empty: '\u2591', rule: '\u2500', good: '\u2714', bad: '\u2718', to: '\u2192' }
      : { full: '#', empty: '.', rule: '-', good: 'ok', bad: '!!', to: '>' }
  }

  /** `text` in a colour of `CODES`, where there are colours. */
  paint(colour, text) {
    return this.#fancy ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : String(text)
  }

  get arrow() {
    return this.#glyphs.to
  }

  /** One line that stays. */
  line(text = '') {
    this.#clear()
    this.#out.write(`${text}\n`)
  }

  /** A heading, with a line or two that say what is to be seen. */
  section(title, ...explanation) {
    this.line()
    this.line(this.paint('bold', title))
    for (const text of explanation) this.line(this.paint('dim', text))
    this.line()
    this.#quarter = 0
  }

  good(text) {
    this.line(`  ${this.paint('green', this.#glyphs.good)} ${text}`)
  }

  bad(text) {
    this.line(`  ${this.paint('red', this.#glyphs.bad)} ${text}`)
  }

  /** How far the work is: a bar that is redrawn, or one line every quarter. */
  progress(done, total, text) {
    if (!this.#fancy) {
      const quarter = Math.floor((4 * done) / total)
      if (quarter > this.#quarter) this.line(`  ${done} of ${total}  ${text}`)
      this.#quarter = quarter
      return
    }
    const now = performance.now()
    if (this.#live && now - this.#lastDrawn < REDRAW_EVERY_MS && done < total) return
    this.#lastDrawn = now
    const width = 24
    const filled = Math.round((width * done) / total)
    const bar = this.paint('cyan', this.#glyphs.full.repeat(filled)) + this.paint('dim', this.#glyphs.empty.repeat(width - filled))
    const spinner = this.paint('cyan', SPINNER[this.#frames++ % SPINNER.length])
    const line = `  ${spinner} ${bar} ${padStart(String(done), String(total).length)}/${total}  ${text}`
    this.#out.write((this.#live ? '' : HIDE_CURSOR) + CLEAR_LINE + cut(line, (this.#out.columns || 80) - 1))
    this.#live = true
  }

  /** Rows of a label and one cell per column; the cells of `best` stand out. */
  table(columns, rows) {
    const labelWidth = Math.max(...rows.map(([label]) => label.length))
    const widths = columns.map((column, index) => Math.max(column.length, ...rows.map(([, ...cells]) => lengthOf(cells[index]))) + 3)
    const rule = `  ${this.paint('dim', this.#glyphs.rule.repeat(labelWidth + widths.reduce((a, b) => a + b)))}`
    const header = columns.map((column, index) => padStart(this.paint('bold', column), widths[index])).join('')
    this.line(`  ${' '.repeat(labelWidth)}${header}`)
    this.line(rule)
    for (const [label, ...cells] of rows) {
      this.line(`  ${padEnd(label, labelWidth)}${cells.map((cell, index) => padStart(cell, widths[index])).join('')}`)
    }
    this.line(rule)
  }

  /** One horizontal bar per `{ label, value, text, colour }`. */
  bars(entries) {
    const labelWidth = Math.max(...entries.map(({ label }) => label.length))
    const most = Math.max(...entries.map(({ value }) => value))
    const width = 24
    for (const { label, value, text, colour } of entries) {
      const bar = this.#glyphs.full.repeat(Math.max(1, Math.round((width * value) / most)))
      this.line(`  ${padEnd(label, labelWidth)}  ${padEnd(this.paint(colour, bar), width)}  ${text}`)
    }
  }

  /** Leaves the terminal as it was. */
  close() {
    this.#clear()
  }

  #clear() {
    if (this.#live) this.#out.write(CLEAR_LINE + SHOW_CURSOR)
    this.#live = false
  }
}
