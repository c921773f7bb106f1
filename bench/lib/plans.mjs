/** Three times, in fresh processes: what a compiler or an allocator has once decided stays for the life of a process, and may be unlucky. */
export const inFreshProcesses = ({ quick }) => (quick ? {} : { rounds: 9, times: 3 })
