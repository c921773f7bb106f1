/** Ways to let others go on. */
const PAUSES = {
  none: async () => {},
  microtask: () => Promise.resolve().then(() => {}),
  turn: () => new Promise(setImmediate),
  turns: async () => {
    for (let i = 0; i < 3; i++) await new Promise(setImmediate)
  },
  /** Longer than a store with limits puts up with. */
  hang: () => new Promise(resolve => setTimeout(resolve, 40)),
  timer: () => new Promise(resolve => setTimeout(resolve, 1)),
}

export const pause = kind => PAUSES[kind]()
