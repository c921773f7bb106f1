/** The asking end of calls to another process or thread: they go out through `post` and come back as promises. */
export class Calls {
  #post
  #waiting = new Map()
  #ended
  #last = 0

  constructor(post) {
    this.#post = post
  }

  call(command, settings = {}) {
    if (this.#ended) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      const id = ++this.#last
      this.#waiting.set(id, { resolve, reject })
      this.#post({ id, command, ...settings })
    })
  }

  /** Takes what the other end has answered. */
  answered({ id, value, error }) {
    const { resolve, reject } = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) resolve(value)
    else reject(new Error(error))
  }

  /** Fails what is under way and all that comes. */
  end(reason) {
    this.#ended = reason
    for (const { reject } of this.#waiting.values()) reject(reason)
    this.#waiting.clear()
  }

  get ended() {
    return this.#ended !== undefined
  }
}

/** The answering end: what to do with each message. */
export const answerer = (commands, post) => async ({ id, command, ...settings }) => {
  try {
    post({ id, value: await commands[command](settings) })
  } catch (error) {
    post({ id, error: error?.stack ?? String(error) })
  }
}
