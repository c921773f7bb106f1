export { openCask, attachCask, useCaskAuthState, withCask, detached, importMultiFile, importKeys, exportMultiFile, CaskError } from './index.js'
