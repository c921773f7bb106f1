import { pairedRatio } from './measure.mjs'
import { atMost } from './figures.mjs'

/** Microseconds that one operation takes longer in a sealed cask, round against neighbouring round. */
export const addedMicroseconds = ({ cask, 'cask-sealed': sealed }) =>
  (pairedRatio(cask, sealed) - 1) / cask.median * 1e6

/** What sealing costs, found out with the work of `lane`: a plain cask and a sealed one beside each other. */
export const sealedRow = ({ name, title, unit, lane, figures }) => ({
  name,
  title,
  unit,
  peers: ['cask', 'cask-sealed'],
  // Two lanes and a small difference between them.
  plan: ({ quick }) => quick ? { rounds: 9 } : { rounds: 41 },
  open: lane,
  figures
})

/** A figure: at most this part of the time of a plain cask on top. */
export const sealingCosts = limit => atMost(`sealing costs <= ${limit * 100}%`, limit, (cask, peers) =>
  peers['cask-sealed'] && pairedRatio(cask, peers['cask-sealed']) - 1, 'share')
