// What a native library was built for, from its own header: a file in the wrong package loads on no machine, or on none of its users'.

const ELF_MACHINES = { 62: 'x64', 183: 'arm64' }
const MACH_O_CPUS = { 0x01000007: 'x64', 0x0100000c: 'arm64' }
const PE_MACHINES = { 0x8664: 'x64', 0xaa64: 'arm64' }

/** The name of the platform, as npm packages for it end, such as `linux-x64-gnu`; undefined where the bytes are no such library. */
export function platformOf(bytes) {
  if (bytes.length < 64) return undefined
  if (bytes.readUInt32BE(0) === 0x7f454c46) return elf(bytes)
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return withArchitecture('darwin', MACH_O_CPUS[bytes.readUInt32LE(4)])
  if (bytes.toString('latin1', 0, 2) === 'MZ') return pe(bytes)
  return undefined
}

/** Only libraries linked to glibc name versions of its symbols. */
function elf(bytes) {
  return withArchitecture('linux', ELF_MACHINES[bytes.readUInt16LE(18)], bytes.includes('GLIBC_2.') ? 'gnu' : 'musl')
}

function pe(bytes) {
  const header = bytes.readUInt32LE(0x3c)
  if (header + 6 > bytes.length || bytes.toString('latin1', header, header + 4) !== 'PE\0\0') return undefined
  return withArchitecture('win32', PE_MACHINES[bytes.readUInt16LE(header + 4)], 'msvc')
}

const withArchitecture = (system, architecture, abi) => (architecture === undefined ? undefined : [system, architecture, abi].filter(Boolean).join('-'))
