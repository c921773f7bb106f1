const nothing = () => {}

/** A logger shaped like pino's that says nothing: no peer is charged for log lines. */
export const silentLogger = {
  level: 'silent',
  child: () => silentLogger,
  trace: nothing,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing
}
