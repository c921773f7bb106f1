let left = 0

/** From now on the store, and all else in this process, captures no stacks on request. What `new Error` does is V8's own and stays. */
export const captureNoStacks = () => {
  Error.captureStackTrace = () => {
    left++
  }
}

/** How many stacks were not captured. */
export const stacksLeftOut = () => left
