import { createHash } from 'node:crypto'

/** Bytes that depend on `label` alone, so that every run stores the same values. */
export const seededBytes = (label, length) =>
  createHash('shake256', { outputLength: length }).update(label).digest()
