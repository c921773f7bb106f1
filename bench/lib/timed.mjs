/**
 * Wraps the keys of a store and adds up the time spent in them while `clock.on`. The body of a transaction is not counted,
 * the calls that it makes are. Only meaningful where one call is under way at a time.
 */
export const timed = (keys, clock) => {
  const measure = async call => {
    const started = performance.now()
    try {
      return await call()
    } finally {
      clock.ms += performance.now() - started
      clock.calls++
    }
  }
  const wrapper = {
    get: (family, ids) => clock.on ? measure(() => keys.get(family, ids)) : keys.get(family, ids),
    set: data => clock.on ? measure(() => keys.set(data)) : keys.set(data)
  }
  if (keys.transaction) {
    wrapper.isInTransaction = () => keys.isInTransaction()
    wrapper.transaction = (work, label) => {
      if (!clock.on) return keys.transaction(work, label)
      let bodyMs = 0
      const body = async tx => {
        const started = performance.now()
        try {
          return await work(tx)
        } finally {
          bodyMs += performance.now() - started
        }
      }
      return measure(() => keys.transaction(body, label)).finally(() => {
        clock.ms -= bodyMs
      })
    }
  }
  return wrapper
}
