// SPDX-License-Identifier: MIT
// js-libp2p 3.x as a peer of the bench (../../../bench/README.md): the protocols, and the load that it puts on another one. Apart
// from peer.mjs, because its handlers and limits are those of a throughput test: no limit that would refuse the load.
//
//     node bench.mjs OPTIONS        OPTIONS is one JSON object: listen [..], kad "server"
import { createInterface } from 'node:readline'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { emit } from '../control.mjs'

const PERF = '/perf/1.0.0'; const ECHO = '/echo/1.0.0'; const BATCH = '/bench/msg/1.0.0'; const MESSAGE = '/lotus/message/1.0.0'
const PING = '/ipfs/ping/1.0.0'
const MANY = 1 << 20
const LIMITS = { maxInboundStreams: MANY, maxOutboundStreams: MANY }
const MESSAGE_BYTES_MAX = 100_000
const BLOCK = new Uint8Array(65536)
let messages = 0

// stream.onDrain() gives the same promise again after the first time, so that a loop over it never lets the event loop turn.
const drained = (stream) => new Promise((resolve, reject) => {
  const end = (f) => () => {
    stream.removeEventListener('drain', onDrain)
    stream.removeEventListener('close', onClose)
    f()
  }
  const onDrain = end(resolve)
  const onClose = end(() => reject(new Error('the stream was closed')))
  stream.addEventListener('drain', onDrain)
  stream.addEventListener('close', onClose)
})
const send = async (stream, bytes) => { if (!stream.send(bytes)) { await drained(stream) } }
// A handler whose stream fails resets it; that is no error of the node.
const handler = (f) => (stream) => f(stream).catch((err) => stream.abort(err))

// Cuts what arrives into pieces: read(n) gives n bytes, or null at the end.
function reader (stream) {
  const chunks = stream[Symbol.asyncIterator]()
  let have = Buffer.alloc(0)
  return {
    async read (n) {
      while (have.length < n) {
        const { done, value } = await chunks.next()
        if (done) { return null }
        have = have.length === 0 ? Buffer.from(value.subarray()) : Buffer.concat([have, value.subarray()])
      }
      const out = have.subarray(0, n)
      have = have.subarray(n)
      return out
    },
    // The next piece of any size.
    async some () {
      if (have.length > 0) { const out = have; have = Buffer.alloc(0); return out }
      const { done, value } = await chunks.next()
      return done ? null : value.subarray()
    }
  }
}

async function echo (stream) {
  for await (const chunk of stream) { await send(stream, chunk) }
  await stream.close()
}

// 8 bytes: how many to send back; then the upload until its end; then the answer.
async function perf (stream) {
  const head = Buffer.alloc(8)
  let got = 0
  for await (const chunk of stream) {
    if (got < 8) { Buffer.from(chunk.subarray()).copy(head, got, 0, 8 - got) }
    got += chunk.byteLength
  }
  for (let left = Number(head.readBigUInt64BE()); left > 0; left -= BLOCK.length) {
    await send(stream, left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK)
  }
  await stream.close()
}

// 4 bytes: the size of a message; then messages, each of which is answered by itself.
async function batch (stream) {
  const input = reader(stream)
  const size = (await input.read(4)).readUInt32BE()
  for (let message; (message = await input.read(size)) != null;) { await send(stream, message) }
  await stream.close()
}

// One Lotus message: a JSON object until the end of the stream; our side is closed, too.
async function receive (stream) {
  const chunks = []
  let total = 0
  for await (const chunk of stream) {
    chunks.push(chunk.subarray())
    total += chunk.byteLength
    if (total > MESSAGE_BYTES_MAX) { throw new Error('too large') }
  }
  JSON.parse(Buffer.concat(chunks).toString())
  messages++
  await stream.close()
}

async function newNode ({ listen = ['/ip4/127.0.0.1/tcp/0'], kad, dial_only: dialOnly } = {}) {
  const services = { identify: identify(LIMITS), ping: ping({ ...LIMITS, timeout: 3_600_000 }) }
  if (kad != null && kad !== 'off') {
    services.dht = kadDHT({ protocol: '/lotus/kad/1.0.0', clientMode: kad !== 'server', peerInfoMapper: passthroughMapper,
      initialQuerySelfInterval: 3_600_000, querySelfInterval: 3_600_000, ...LIMITS })
  }
  const node = await createLibp2p({
    addresses: { listen: dialOnly ? [] : listen },
    transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux({ maxEarlyStreams: MANY })],
    connectionManager: { inboundConnectionThreshold: MANY, maxConnections: MANY, maxIncomingPendingConnections: MANY },
    connectionMonitor: { enabled: false }, // it pings every 10 s; the go and rust peers do so seldom or not at all
    services
  })
  for (const [protocol, f] of [[ECHO, echo], [PERF, perf], [BATCH, batch], [MESSAGE, receive]]) {
    await node.handle(protocol, handler(f), LIMITS)
  }
  return node
}

// Puts peers that do not exist into the routing table.
async function fill (node, count) {
  const table = node.services.dht.routingTable
  table.kb.verify = async () => true
  for (let i = 0; i < count; i++) {
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    await node.peerStore.merge(id, { multiaddrs: [multiaddr(`/ip4/127.0.0.1/tcp/${20000 + i}`)] })
    await table.add(id)
  }
  return { size: table.size }
}

// ---- loads

const now = () => performance.now() / 1e3
const at = (sorted, p) => sorted.length === 0 ? 0 : sorted[Math.floor(p * (sorted.length - 1))]

const loads = {
  async up ({ connection, parallel, end }) {
    let bytes = 0
    await Promise.all(Array.from({ length: parallel }, async () => {
      const stream = await connection.newStream(PERF, LIMITS)
      await send(stream, new Uint8Array(8))
      while (now() < end) { await send(stream, BLOCK); bytes += BLOCK.length }
      await stream.close() // and the end of the answer: everything was read
      for await (const chunk of stream) { bytes += chunk.byteLength }
    }))
    return { bytes, count: parallel }
  },
  async down ({ connection, parallel, end }) {
    let bytes = 0
    await Promise.all(Array.from({ length: parallel }, async () => {
      const stream = await connection.newStream(PERF, LIMITS)
      await send(stream, Buffer.from('001fffffffffffff', 'hex'))
      await stream.close()
      for await (const chunk of stream) {
        bytes += chunk.byteLength
        if (now() >= end) { break }
      }
      stream.abort(new Error('enough'))
    }))
    return { bytes, count: parallel }
  },
  async ping ({ connection, end }) {
    const stream = await connection.newStream(PING, LIMITS)
    const input = reader(stream)
    const rtts = []
    while (now() < end) {
      const sent = now()
      await send(stream, BLOCK.slice(0, 32))
      await input.read(32)
      rtts.push((now() - sent) * 1e6)
    }
    stream.abort(new Error('enough'))
    rtts.sort((a, b) => a - b)
    return { count: rtts.length, p50_us: at(rtts, 0.5), p99_us: at(rtts, 0.99) }
  },
  async messages ({ connection, end, size = 128, depth = 256 }) {
    const stream = await connection.newStream(BATCH, LIMITS)
    const head = Buffer.alloc(4)
    head.writeUInt32BE(size)
    await send(stream, head)
    let sent = 0; let bytes = 0; let more = () => {}
    const sending = (async () => {
      while (now() < end) {
        if (sent - Math.floor(bytes / size) >= depth) { await new Promise((resolve) => { more = resolve }) } else {
          await send(stream, BLOCK.slice(0, size))
          sent++
        }
      }
      await stream.close()
    })()
    for await (const chunk of stream) { bytes += chunk.byteLength; more() }
    await sending
    return { count: Math.floor(bytes / size), bytes }
  },
  async streams ({ connection, parallel, end }) {
    let count = 0
    await Promise.all(Array.from({ length: parallel }, async () => {
      while (now() < end) {
        const stream = await connection.newStream(ECHO, LIMITS)
        let got = 0
        await send(stream, BLOCK.slice(0, 1024))
        await stream.close()
        for await (const chunk of stream) { got += chunk.byteLength }
        if (got !== 1024) { throw new Error(`sent 1024 bytes, got ${got}`) }
        count++
      }
    }))
    return { count }
  }
}

// New connections, each from a node of its own (made before the clock starts), with identify, then closed.
async function loadConnections ({ addr, count = 60, parallel = 1 }) {
  const nodes = await Promise.all(Array.from({ length: count }, () => newNode({ dial_only: true })))
  const begun = now()
  let next = 0
  await Promise.all(Array.from({ length: parallel }, async () => {
    while (next < nodes.length) {
      const node = nodes[next++]
      const identified = new Promise((resolve) => node.addEventListener('peer:identify', resolve, { once: true }))
      const connection = await node.dial(multiaddr(addr))
      await identified
      await connection.close()
    }
  }))
  const seconds = now() - begun
  await Promise.all(nodes.map((node) => node.stop()))
  return { count, seconds }
}

async function load (node, c) {
  if (c.kind === 'connections') { return loadConnections(c) }
  const run = loads[c.kind]
  if (run == null) { throw new Error(`unknown kind of load ${c.kind}`) }
  const connection = await node.dial(multiaddr(c.addr), { signal: AbortSignal.timeout(15_000) })
  const begun = now()
  const got = await run({ parallel: 1, ...c, connection, end: begun + (c.seconds ?? 2) })
  return { ...got, seconds: now() - begun }
}

const info = (node) => ({ peer: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) })
const commands = {
  info, load, quiet: () => ({}), count: () => ({ messages }), 'kad.fill': (node, c) => fill(node, c.count ?? 1000)
}

const node = await newNode(JSON.parse(process.argv[2] ?? '{}'))
emit({ event: 'ready', ...info(node) })
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === '') { continue }
  const command = JSON.parse(line)
  try {
    emit({ id: command.id, ok: true, ...(await commands[command.cmd](node, command)) })
  } catch (err) {
    emit({ id: command.id, ok: false, error: { name: err.name, text: String(err.message) } })
  }
}
process.exit(0)
