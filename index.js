'use strict'

const { attachCask, openCask } = require('./js/open.js')
const { useCaskAuthState } = require('./js/auth-state.js')
const { CaskError } = require('./js/errors.js')

module.exports = { openCask, attachCask, useCaskAuthState, CaskError }
