export { openCask, attachCask, useCaskAuthState, CaskError } from './index.js'
