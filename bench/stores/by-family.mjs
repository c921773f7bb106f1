/** Keys in a `Map` per family, each value as `keep` makes it and given back as `give` makes it. */
export const keysByFamily = (keep, give) => {
  const families = new Map()
  return {
    async get(family, ids) {
      const records = families.get(family)
      const found = {}
      for (const id of ids) {
        const kept = records?.get(id)
        if (kept !== undefined) found[id] = give(kept)
      }
      return found
    },
    async set(data) {
      for (const family in data) {
        let records = families.get(family)
        if (!records) families.set(family, records = new Map())
        for (const id in data[family]) {
          const value = data[family][id]
          if (value === null || value === undefined) records.delete(id)
          else records.set(id, keep(value))
        }
      }
    }
  }
}
