// SPDX-License-Identifier: MIT
// The control language of the js test peers, the same for every line of js-libp2p: commands as JSON lines on standard
// input, answers and events as JSON lines on standard output. README.md beside this file lists them. Each line's
// peer.mjs gives `start(options, emit)`, which returns a node (an object of the functions called below).
import { createInterface } from 'node:readline'
import { randomBytes } from 'node:crypto'

export const ECHO = '/echo/1.0.0'
export const MESSAGE = '/lotus/message/1.0.0'
export const RESET = '/test/reset/1.0.0'
export const MESSAGE_BYTES_MAX = 100_000

export const emit = (object) => { process.stdout.write(JSON.stringify(object) + '\n') }
export const fail = (name, text) => Object.assign(new Error(text), { name })

// With the option `mdns`: discovery by it, which tells whom it found. Its own event, because a node also calls a peer discovered
// that has dialed it.
export const discovery = (options, mdns) => !options.mdns ? [] : [(components) => {
  const found = mdns()(components)
  found.addEventListener('peer', ({ detail }) => {
    emit({ event: 'discovered', peer: detail.id.toString(), addrs: detail.multiaddrs.map((a) => `${a}/p2p/${detail.id}`) })
  })
  return found
}]

const describe = (err) => {
  const inner = (err.errors ?? []).map((e) => e.message) // an AggregateError tells nothing by itself
  return { name: err.code ?? err.name, text: [err.message, ...inner].join('; ') }
}

// Runs `job(i)` for i = 0 .. total-1, `parallel` at a time, and counts what happened.
const runAll = async (total, parallel, job) => {
  let next = 0; let done = 0
  const errors = {}
  const worker = async () => {
    while (next < total) {
      const i = next++
      try { await job(i); done++ } catch (err) {
        const text = `${describe(err).name}: ${describe(err).text}`
        errors[text] = (errors[text] ?? 0) + 1
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(parallel, total) }, worker))
  return { done, failed: total - done, errors }
}

const lotusMessage = (from, { type = 'data-message', payload, protocol, to }) => {
  const timestamp = Date.now()
  const messageId = `${timestamp.toString(36)}-${randomBytes(8).toString('hex')}`
  return { type, from, to, payload, timestamp, messageId, protocol }
}

const commands = {
  info: (node) => node.info(),
  dial: (node, c) => node.dial(c.addr),
  hangup: (node, c) => node.hangup(c.peer),
  connections: (node) => ({ connections: node.connections() }),
  identify: (node, c) => node.identify(c.peer, c.timeout_ms ?? 10_000),
  ping: async (node, c) => {
    const rtt_ms = []
    for (let i = 0; i < (c.count ?? 1); i++) { rtt_ms.push(await node.ping(c.peer)) }
    return { rtt_ms }
  },
  // Each stream sends random bytes, half-closes, and must get the same bytes and the end.
  echo: (node, { peer, bytes = 32, streams = 1, parallel = 16, protocol = ECHO }) =>
    runAll(streams, parallel, async () => {
      const sent = randomBytes(bytes)
      const got = await node.exchange(peer, protocol, sent)
      if (!sent.equals(got)) { throw fail('Mismatch', `sent ${sent.length} bytes, got ${got.length}, not equal`) }
    }),
  // Opens a stream and does nothing with it: tells whether the peer has the protocol.
  open: (node, { peer, protocol }) => node.open(peer, protocol),
  // From now on the peer takes messages by this protocol.
  speak: (node, { protocol }) => node.speak(protocol),
  // Opens an echo stream, sends some bytes and resets it.
  abort: (node, { peer, protocol = ECHO, bytes = 1000 }) => node.abort(peer, protocol, randomBytes(bytes)),
  // One new stream for each message, one after the other, as the Lotus coordinator's sendTo does it.
  send: (node, { peer, count = 1, message = {}, text, size }) => runAll(count, 1, async (seq) => {
    const body = text ?? JSON.stringify(lotusMessage(node.info().peer, { payload: { seq }, ...message }))
    await node.send(peer, MESSAGE, Buffer.from(size ? body.padEnd(size) : body))
  }),
  'kad.table': (node) => node.kadTable(),
  'kad.put': (node, c) => node.kadPut(Buffer.from(c.key), Buffer.from(c.value)),
  'kad.get': (node, c) => node.kadGet(Buffer.from(c.key)),
  'kad.provide': (node, c) => node.kadProvide(c.cid),
  'kad.findprovs': (node, c) => node.kadFindProviders(c.cid),
  'kad.findpeer': (node, c) => node.kadFindPeer(c.peer),
  'kad.closest': (node, c) => node.kadClosest(Buffer.from(c.key))
}

export async function run (start) {
  const node = await start(JSON.parse(process.argv[2] ?? '{}'))
  emit({ event: 'ready', ...node.info() })
  let stopping = false
  const stop = async () => {
    if (stopping) { return }
    stopping = true
    await Promise.race([node.stop(), new Promise((resolve) => setTimeout(resolve, 2000).unref())])
    process.exit(0)
  }
  process.on('SIGTERM', stop)
  const answer = async (line) => {
    const command = JSON.parse(line)
    try {
      const run = commands[command.cmd] ?? (() => { throw fail('BadCommand', `unknown command ${command.cmd}`) })
      emit({ id: command.id, ok: true, ...(await run(node, command)) })
    } catch (err) {
      emit({ id: command.id, ok: false, error: describe(err) })
    }
  }
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== '') { answer(line) }
  }
  await stop() // the driver has gone
}
