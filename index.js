'use strict'

const { attachCask, openCask } = require('./js/open.js')
const { useCaskAuthState } = require('./js/auth-state.js')
const { changeEncryptionKey, repairCask, rewriteCask, verifyCask } = require('./js/upkeep.js')
const { CaskError } = require('./js/errors.js')
const { exportMultiFile } = require('./js/migrate/export-multi-file.js')
const { importKeys } = require('./js/migrate/import-keys.js')
const { importMultiFile } = require('./js/migrate/import-multi-file.js')
const { withCask, detached } = require('./js/with-cask.js')

module.exports = { openCask, attachCask, useCaskAuthState, withCask, detached, importMultiFile, importKeys, exportMultiFile, verifyCask, repairCask, rewriteCask, changeEncryptionKey, CaskError }
