export { openCask, attachCask, useCaskAuthState, withCask, detached, importMultiFile, importKeys, exportMultiFile, verifyCask, repairCask, CaskError } from './index.js'
