/** Everything that a value takes, roughly: objects, characters and bytes. */
export function weight(value) {
  let all = 0
  const open = [value]
  while (open.length > 0) {
    const next = open.pop()
    all += 1
    if (typeof next === 'string') all += next.length
    else if (next instanceof Uint8Array) all += next.length
    else if (typeof next === 'object' && next !== null) {
      for (const key of Object.keys(next)) {
        all += key.length
        open.push(next[key])
      }
    }
  }
  return all
}
