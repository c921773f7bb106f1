// Serves what a cask holds and does to Prometheus:
//
//   node examples/metrics.mjs cask-folder 9400
//
// A gateway calls `serveMetrics` with the cask that it has open: no other process can look into it meanwhile.
import { once } from 'node:events'
import { realpathSync } from 'node:fs'
import { createServer } from 'node:http'
import { openCask } from 'baileys-cask'

/** Serves `/metrics` until `close` is called; with `accounts=no` in its query without those of each account. */
export async function serveMetrics(cask, { port = 0, host = '127.0.0.1', labels } = {}) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost')
    if (pathname !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end()
      return
    }
    try {
      const text = cask.metrics({ accounts: searchParams.get('accounts') !== 'no', labels })
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text)
    } catch (error) {
      // It is closed, for one.
      response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8' }).end(`${error.code}: ${error.message}\n`)
    }
  })
  // An endpoint for others must not keep the process alive.
  server.unref()
  server.listen(port, host)
  await once(server, 'listening')
  return {
    port: server.address().port,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

if (import.meta.filename === realpathSync(process.argv[1])) {
  const [, , path, port = '9400'] = process.argv
  if (!path) {
    console.error('usage: node examples/metrics.mjs cask-folder [port]')
    process.exit(2)
  }
  const cask = await openCask({ path, create: false })
  const metrics = await serveMetrics(cask, { port: Number(port), labels: { cask: path } })
  console.log(`http://127.0.0.1:${metrics.port}/metrics`)
  const stays = setInterval(() => {}, 60_000)
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      clearInterval(stays)
      await metrics.close()
      await cask.close()
    })
  }
}
