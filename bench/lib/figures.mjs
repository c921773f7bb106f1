import { pairedRatio } from './measure.mjs'

const WORDS = {
  ratio: value => `${value.toFixed(value < 10 ? 2 : 1)}x`,
  share: value => `${(value * 100).toFixed(1)}%`,
  number: value => String(Math.round(value * 10) / 10),
  more: value => value === 0 ? 'the same' : `${value} more`,
  times: value => value.toFixed(3),
  microseconds: value => `${value.toFixed(value < 10 ? 2 : 1)} us`,
  milliseconds: value => `${value.toFixed(value < 10 ? 2 : 1)} ms`,
  kilobytes: value => `${(value / 1024).toFixed(1)} KB`
}

/** `ours` is at least `need` times as fast as `peer`, median against median. */
export const timesAsFast = (peer, need, name = peer, ours = 'cask') => ({
  required: `>= ${need}x ${name}`,
  measure: ({ peers }) => peers[ours] && peers[peer] && peers[ours].median / peers[peer].median,
  reached: value => value >= need,
  show: WORDS.ratio
})

/** The same, round against neighbouring round: for peers that are nearly equal. */
export const pairedTimesAsFast = (peer, need, name = peer, ours = 'cask') => ({
  required: `>= ${need}x ${name}`,
  measure: ({ peers }) => peers[ours] && peers[peer] && pairedRatio(peers[ours], peers[peer]),
  reached: value => value >= need,
  show: WORDS.ratio
})

/** A value that `read` takes from our own measurements is at most `limit`. */
export const atMost = (required, limit, read, words, ours = 'cask') => ({
  required,
  measure: ({ peers }) => peers[ours] && read(peers[ours], peers),
  reached: value => value <= limit,
  show: WORDS[words]
})

/** What a row's figures come to, one entry per figure. */
export const judge = (row, result) => (row.figures ?? []).map(figure => {
  const value = result && figure.measure(result)
  const measured = typeof value === 'number' && Number.isFinite(value)
  return {
    work: row.title,
    required: figure.required,
    measured: measured ? figure.show(value) : undefined,
    value: measured ? value : undefined,
    reached: measured ? figure.reached(value) : undefined
  }
})
