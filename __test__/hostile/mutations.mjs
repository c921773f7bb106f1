import { seeded } from '../helpers/seeded.mjs'

/** Bytes that mean much: ends of ranges, of varints, and of texts. */
const TELLING = [0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x22, 0x5c, 0x7b, 0x5d]

/** Mutations of some samples that look random and are the same for the same seed. */
export function* mutations(samples, seed) {
  const random = seeded(seed)
  const at = bytes => random(bytes.length + 1)
  const changes = [
    bytes => { if (bytes.length > 0) bytes[random(bytes.length)] ^= 1 << random(8) },
    bytes => { if (bytes.length > 0) bytes[random(bytes.length)] = TELLING[random(TELLING.length)] },
    bytes => bytes.splice(at(bytes)),
    bytes => bytes.splice(at(bytes), random(8)),
    bytes => bytes.splice(at(bytes), 0, ...Array.from({ length: 1 + random(6) }, () => random(256))),
    // A count or a length as large as they come.
    bytes => bytes.splice(at(bytes), random(3), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f),
    // No number at all, and one without end.
    bytes => bytes.splice(at(bytes), 8, 0, 0, 0, 0, 0, 0, random(2) ? 0xf8 : 0xf0, 0x7f),
    bytes => {
      const other = samples[random(samples.length)]
      const from = random(other.length + 1)
      bytes.splice(at(bytes), random(16), ...other.subarray(from, from + random(48)))
    },
  ]
  for (;;) {
    const bytes = [...samples[random(samples.length)]]
    for (let left = 1 + random(4); left > 0; left--) changes[random(changes.length)](bytes)
    yield Buffer.from(bytes)
  }
}
