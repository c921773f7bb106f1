/** Shows what is under way: one line that replaces itself on a terminal, a line per finished row elsewhere. */
export const makeProgress = (out = process.stdout) => {
  let shown = 0
  const clear = () => {
    if (!out.isTTY) return
    out.write('\r\u001b[2K')
  }
  const progress = text => {
    if (!out.isTTY || Date.now() - shown < 50) return
    shown = Date.now()
    clear()
    out.write(text.slice(0, (out.columns ?? 80) - 1))
  }
  progress.clear = clear
  progress.done = text => {
    clear()
    out.write(`done: ${text}\n`)
  }
  /** For what takes long and must be seen everywhere. */
  progress.say = text => {
    clear()
    out.write(`${text}\n`)
  }
  return progress
}
