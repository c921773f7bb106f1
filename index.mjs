export { openCask, attachCask, useCaskAuthState, withCask, detached, importMultiFile, importKeys, CaskError } from './index.js'
