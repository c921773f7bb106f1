/** Keeps this thread from doing anything else. */
export function block(ms) {
  const end = performance.now() + ms
  while (performance.now() < end);
}
