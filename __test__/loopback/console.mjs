/**
 * libsignal says what it does with sessions on the console, keys included. While a server runs, those lines go nowhere.
 * `quietLibsignal()` gives a function that ends this.
 */
const LINES = /^(Closing|Opening|Removing old closed|Migrating) session|^Closing open session|^Session (already|error)|^(Failed to decrypt|Decrypted) message/
const METHODS = ['info', 'warn', 'error']
let users = 0
let originals

export function quietLibsignal() {
  if (users++ === 0) {
    originals = Object.fromEntries(METHODS.map(name => [name, console[name]]))
    for (const [name, write] of Object.entries(originals)) {
      console[name] = (...words) => {
        if (!LINES.test(words[0])) write.apply(console, words)
      }
    }
  }
  return () => {
    if (--users === 0) Object.assign(console, originals)
  }
}
