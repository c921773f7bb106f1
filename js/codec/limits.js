'use strict'

/** Texts are joined up to this many characters: beyond what a record may hold, below what V8 takes for one string. */
const MAX_JOINED_TEXTS = 2 ** 28

module.exports = { MAX_JOINED_TEXTS }
