import { fuzzTarget } from './target.mjs'

export const fuzz = fuzzTarget('files')
