export { openCask, attachCask, useCaskAuthState, withCask, detached, CaskError } from './index.js'
