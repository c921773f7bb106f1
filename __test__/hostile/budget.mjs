/** Seconds that this process has had of a processor. */
const processorSeconds = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** CASK_FUZZ: seconds of a processor that fuzzing gets; 0 for the short run of `npm test`. */
export const SECONDS = Number(process.env.CASK_FUZZ ?? 0)

/** Where a processor has much else to do. */
export const LIMIT = { timeout: (SECONDS * 10 + 120) * 1000 }

/** A clock of processor time, for one of `parts` equal parts of all. */
export function budget(parts) {
  const started = processorSeconds()
  const spent = () => processorSeconds() - started
  return { spent, isLeft: () => spent() < SECONDS / parts }
}
