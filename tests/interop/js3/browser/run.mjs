// SPDX-License-Identifier: MIT
// Bundles page.mjs, serves it on loopback, opens it in a headless Chromium, lets it talk to a node, keeps a picture of the page.
//
//     node run.mjs OPTIONS       OPTIONS is one JSON object: addr, resource, chromium, picture; prints one JSON line
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'

const here = new URL('.', import.meta.url)
const options = JSON.parse(process.argv[2])
const bundle = (await build({ entryPoints: [new URL('page.mjs', here).pathname], bundle: true, format: 'esm', write: false,
  define: { global: 'globalThis' } })).outputFiles[0].contents
const server = createServer((request, response) => {
  const script = request.url === '/bundle.js'
  response.setHeader('content-type', script ? 'text/javascript' : 'text/html')
  response.end(script ? bundle : readFileSync(new URL('page.html', here)))
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const browser = await chromium.launch({ executablePath: options.chromium, args: ['--no-sandbox', '--disable-gpu', '--disable-quic',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
let result
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 420 } })
  const said = []
  page.on('console', (message) => said.push(message.text()))
  page.on('pageerror', (error) => said.push(error.message))
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  try {
    await page.waitForFunction(() => window.talk != null, undefined, { timeout: 20_000 })
    const { addr, resource } = options
    result = { event: 'result', ...await page.evaluate(({ addr, resource }) => window.talk(addr, resource), { addr, resource }) }
  } catch (err) {
    result = { event: 'error', text: err.message, said }
  }
  if (options.picture) { await page.screenshot({ path: options.picture }) }
} finally {
  await browser.close()
  server.close()
}
console.log(JSON.stringify(result))
process.exit(result.event === 'result' ? 0 : 1)
