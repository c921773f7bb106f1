/** Tests that failed, from a runner's output, as `file: title`. Bun's say no file, and have the names of their suites before them. */
export function failuresIn(output, file) {
  const titles = [...output.matchAll(/^\(fail\) (.*?)(?: \[[\d.]+m?s\])?$/gm)].map(([, title]) => title)
  return [...new Set(file === undefined ? titles : titles.map(title => `${file}: ${title.split(' > ').at(-1)}`))]
}

/** Tests that the page names as failing on a runtime: the first column of the table under its heading. */
export function expectedFailures(page, heading) {
  const section = page.split(/^## /m).find(text => text.startsWith(`${heading}\n`)) ?? ''
  return new Set([...section.matchAll(/^\| `([^|]+)` \|/gm)].map(([, title]) => title.trim()))
}
