/** Tests that failed, from a runner's output, as `file: title`. Bun's titles have the names of their suites before them. */
export function failuresIn(output, file) {
  const titles = [...output.matchAll(/^\(fail\) (.*?)(?: \[[\d.]+m?s\])?$/gm)].map(([, title]) => title.split(' > ').at(-1))
  return file === undefined ? titles : titles.map(title => `${file}: ${title}`)
}

/** Tests that the page names as failing on a runtime: the first column of the table under its heading. */
export function expectedFailures(page, heading) {
  const section = page.split(/^## /m).find(text => text.startsWith(`${heading}\n`)) ?? ''
  return new Set([...section.matchAll(/^\| `([^|]+)` \|/gm)].map(([, title]) => title.trim()))
}
