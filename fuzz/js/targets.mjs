// What a fuzzer runs: bytes in the place of encoded values and of Baileys' files. The first byte says of which family.
import { checkEncoded, checkFile, FAMILIES } from '../../__test__/hostile/decoders.mjs'

const forFamily = check => input => input.length > 0 && check(FAMILIES[input[0] % FAMILIES.length], input.subarray(1))

/** By name; each throws where something is wrong, and says whether the bytes were accepted. */
export const TARGETS = { values: forFamily(checkEncoded), files: forFamily(checkFile) }
