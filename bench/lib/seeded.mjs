import { createHash } from 'node:crypto'

/**
 * Bytes that depend on `label` alone, so that every run stores the same values. A copy in Node's pool, as decoded messages and
 * parsed JSON give them: a digest would bring an allocation of its own for every 32 bytes.
 */
export const seededBytes = (label, length) =>
  Buffer.from(createHash('shake256', { outputLength: length }).update(label).digest())
