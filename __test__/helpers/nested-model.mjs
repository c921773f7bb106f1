// What transactions inside each other mean, in plain maps. Only for calls that come one after the other.

/** Writes of one level: `cleared` first, then `writes`, by family and id; `null` is a delete. */
const overlay = () => ({ cleared: false, writes: new Map(), creds: undefined })

const keyOf = (family, id) => `${family}\n${id}`

export function nestedModel() {
  const outside = { depth: 0, staged: { cleared: false, writes: new Map(), creds: undefined }, joined: false, get creds() { return this.staged.creds } }

  const put = (staged, key, value) => staged.writes.set(key, value ?? null)
  const clear = staged => {
    staged.cleared = true
    staged.writes.clear()
  }
  const chain = level => {
    const levels = []
    for (let at = level; at; at = at.around) levels.push(at)
    return levels
  }

  /** Independent levels up to the outermost that has staged what is touched join it. */
  function join(level, isTouched) {
    const levels = chain(level).filter(at => at !== outside)
    const farthest = levels.findLastIndex((at, place) => place > 0 && isTouched(at.staged))
    for (const at of levels.slice(0, Math.max(farthest, 0))) if (at.independent) at.joined = true
  }

  const hasKey = key => staged => staged.cleared || staged.writes.has(key)
  const lookUp = (level, key) => {
    for (const { staged } of chain(level)) {
      if (staged.writes.has(key)) return staged.writes.get(key)
      if (staged.cleared) return null
    }
    return null
  }

  function merge(from, into) {
    if (from.cleared) clear(into)
    for (const [key, value] of from.writes) put(into, key, value)
    if (from.creds !== undefined) into.creds = from.creds
  }

  return {
    outside,
    begin: (around, independent) => ({ depth: around.depth + 1, around, independent: independent && around !== outside, joined: false, staged: overlay() }),
    end(level, well) {
      if (!well) return
      const into = level.independent && !level.joined ? outside : level.around
      merge(level.staged, into.staged)
    },
    get(level, family, ids) {
      for (const id of ids) join(level, hasKey(keyOf(family, id)))
      return Object.fromEntries(ids.map(id => [id, lookUp(level, keyOf(family, id))]).filter(([, value]) => value !== null))
    },
    set(level, data) {
      for (const [family, values] of Object.entries(data)) {
        for (const [id, value] of Object.entries(values)) {
          const key = keyOf(family, id)
          join(level, hasKey(key))
          put(level.staged, key, value)
        }
      }
    },
    clear(level) {
      join(level, staged => staged.cleared || staged.writes.size > 0)
      clear(level.staged)
    },
    /** A family is listed. */
    touch: (level, family) => join(level, staged => staged.cleared || [...staged.writes.keys()].some(key => key.startsWith(`${family}\n`))),
    records(level, family) {
      const ids = new Set(chain(level).flatMap(({ staged }) => [...staged.writes.keys()]).filter(key => key.startsWith(`${family}\n`)))
      return [...ids].sort().map(key => [key.slice(family.length + 1), lookUp(level, key)]).filter(([, value]) => value !== null)
    },
    setCreds(level, creds) {
      join(level, staged => staged.creds !== undefined)
      level.staged.creds = creds
    },
    /** At once, or in place of what was staged nearest. */
    saveCreds(level, creds) {
      const staged = chain(level).find(({ staged }) => staged.creds !== undefined) ?? outside
      staged.staged.creds = creds
    },
  }
}
