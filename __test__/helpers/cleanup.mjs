const stacks = new WeakMap()

/** Runs `undo` when the test ends; the last one first, whatever fails. */
export function afterwards(t, undo) {
  let stack = stacks.get(t)
  if (!stack) {
    stacks.set(t, (stack = []))
    t.after(async () => {
      let failure
      for (let undo = stack.pop(); undo; undo = stack.pop()) {
        try {
          await undo()
        } catch (error) {
          failure ??= error
        }
      }
      if (failure) throw failure
    })
  }
  stack.push(undo)
}
