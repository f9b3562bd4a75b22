// SPDX-License-Identifier: MIT
// js-libp2p 1.x, the line that the Lotus README names, as a test peer; the language that it is driven by is in
// ../control.mjs. It differs from js3/peer.mjs in its streams (sink and source instead of events) and has mplex.
import { readFileSync } from 'node:fs'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@chainsafe/libp2p-noise'
import { tls } from '@libp2p/tls'
import { yamux } from '@chainsafe/libp2p-yamux'
import { mplex } from '@libp2p/mplex'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { generateKeyPair, generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { createFromPrivKey } from '@libp2p/peer-id-factory'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { run, emit, fail, discovery, ECHO, MESSAGE, RESET, MESSAGE_BYTES_MAX } from '../control.mjs'

async function readAll (stream, limit = Infinity) {
  const chunks = []
  let total = 0
  for await (const chunk of stream.source) {
    chunks.push(chunk.subarray())
    total += chunk.byteLength
    if (total > limit) { throw fail('TooLarge', `more than ${limit} bytes`) }
  }
  return Buffer.concat(chunks)
}

function * pieces (bytes) {
  for (let at = 0; at < bytes.length; at += 65536) { yield bytes.subarray(at, at + 65536) }
}

// Sends all and half-closes: a sink that comes to its end closes the write side.
const sendAll = (stream, bytes) => stream.sink(pieces(bytes))

// The receiving side of the Lotus coordinator: reads one message and never closes its own side, so a peer gets only
// 32 messages through on a connection unless it resets the streams that it has finished with.
async function receive ({ stream, connection }) {
  const peer = connection.remotePeer.toString()
  try {
    const text = (await readAll(stream, MESSAGE_BYTES_MAX)).toString()
    if (text !== '') { emit({ event: 'message', peer, message: JSON.parse(text) }) }
  } catch (err) {
    emit({ event: 'bad-message', peer, text: err.message })
    stream.abort(err)
  }
}

const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', rsa: 'RSA' } // this line has no ECDSA keys
// An identity of its own seed, so that a peer can come back as itself, or a new one of the wanted type.
const identity = async ({ seed, key_type: type = 'ed25519' }) => createFromPrivKey(seed
  ? await generateKeyPairFromSeed('Ed25519', Buffer.from(seed, 'hex'))
  : await generateKeyPair(KEY_TYPES[type], 2048))
// With a certificate every WebSocket listener is a secure one; the peers that dial it are told its root by
// NODE_EXTRA_CA_CERTS.
const certificate = ({ tls_cert: cert, tls_key: key }) => cert && { cert: readFileSync(cert), key: readFileSync(key) }

async function start (options) {
  const limits = { maxInboundStreams: options.streams_max ?? 32, maxOutboundStreams: options.streams_max ?? 64 }
  const services = { identify: identify(), ping: ping({ maxOutboundStreams: 8 }) } // kad pings too
  if (options.kad) {
    services.dht = kadDHT({
      protocol: options.kad_protocol ?? '/lotus/kad/1.0.0', clientMode: options.kad !== 'server',
      peerInfoMapper: passthroughMapper, initialQuerySelfInterval: 100
    })
  }
  const node = await createLibp2p({
    peerId: await identity(options),
    addresses: { listen: options.listen ?? ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), webSockets(certificate(options))],
    connectionEncryption: (options.security ?? ['noise']).map((name) => ({ noise, tls })[name]()),
    streamMuxers: (options.muxers ?? ['yamux']).map((name) => ({ yamux, mplex })[name]()),
    // Who is discovered is dialed by command only.
    connectionManager: { inboundConnectionThreshold: options.inbound_per_second ?? 5, ...(options.mdns && { minConnections: 0 }) },
    peerDiscovery: discovery(options, mdns),
    services
  })
  const identified = new Map()
  node.addEventListener('peer:identify', ({ detail }) => identified.set(detail.peerId.toString(), detail))
  node.addEventListener('peer:connect', ({ detail }) => emit({ event: 'connect', peer: detail.toString() }))
  node.addEventListener('peer:disconnect', ({ detail }) => emit({ event: 'disconnect', peer: detail.toString() }))
  await node.handle(ECHO, ({ stream }) => stream.sink(stream.source).catch((err) => stream.abort(err)), limits)
  await node.handle(MESSAGE, receive)
  await node.handle(RESET, ({ stream }) => stream.abort(new Error('reset as asked')))

  const connection = (peer) => {
    const [found] = node.getConnections(peerIdFromString(peer))
    if (found == null) { throw fail('NotConnected', `no connection to ${peer}`) }
    return found
  }
  const open = (peer, protocol) => connection(peer).newStream(protocol, limits)
  const show = (c) => ({ peer: c.remotePeer.toString(), remote_addr: c.remoteAddr.toString(),
    direction: c.direction, muxer: c.multiplexer, security: c.encryption })
  const info = (p) => ({ peer: p.id.toString(), addrs: p.multiaddrs.map(String) })
  const collect = async (query) => {
    const found = { asked: 0, answers: 0, values: [], providers: [], peers: [], errors: [] }
    for await (const event of query) {
      if (event.name === 'SEND_QUERY') { found.asked++ }
      if (event.name === 'PEER_RESPONSE') { found.answers++ }
      if (event.name === 'VALUE') {
        found.values.push({ value: Buffer.from(event.value).toString(), from: event.from.toString() })
      }
      if (event.name === 'PROVIDER') { found.providers.push(...event.providers.map(info)) }
      if (event.name === 'FINAL_PEER') { found.peers.push(info(event.peer)) }
      if (event.name === 'QUERY_ERROR') { found.errors.push(event.error.message) }
    }
    return found
  }
  const within = () => ({ signal: AbortSignal.timeout(20_000) })
  const dht = node.services.dht

  return {
    info: () => ({ peer: node.peerId.toString(), addrs: node.getMultiaddrs().map(String) }),
    dial: async (addr) => show(await node.dial(multiaddr(addr), { signal: AbortSignal.timeout(15_000) })),
    hangup: async (peer) => { await node.hangUp(peerIdFromString(peer)) },
    connections: () => node.getConnections().map(show),
    identify: async (peer, timeout_ms) => {
      const end = Date.now() + timeout_ms
      while (!identified.has(peer)) {
        if (Date.now() > end) { throw fail('Timeout', `no identify from ${peer}`) }
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      const d = identified.get(peer)
      return { protocol_version: d.protocolVersion, agent_version: d.agentVersion, protocols: d.protocols,
        listen_addrs: d.listenAddrs.map(String), observed_addr: d.observedAddr?.toString(),
        signed_record: d.signedPeerRecord != null }
    },
    ping: (peer) => node.services.ping.ping(peerIdFromString(peer), { signal: AbortSignal.timeout(10_000) }),
    open: async (peer, protocol) => {
      const stream = await open(peer, protocol)
      stream.abort(new Error('done'))
      return { protocol: stream.protocol }
    },
    abort: async (peer, protocol, bytes) => {
      const stream = await open(peer, protocol)
      stream.sink(pieces(bytes)).catch(() => {})
      stream.abort(new Error('as asked'))
    },
    exchange: async (peer, protocol, bytes) => {
      const stream = await open(peer, protocol)
      const reading = readAll(stream)
      reading.catch(() => {}) // awaited below, when the writing is over
      try { await sendAll(stream, bytes) } catch (err) { await reading; throw err }
      return reading
    },
    send: async (peer, protocol, bytes) => {
      // Only half-closed, as close() does it in 3.x: close() in 1.x forgets the stream at once, and over mplex the peer's
      // own end of it then counts as a message for a missing stream, of which js bears five a second.
      const stream = await open(peer, protocol)
      await sendAll(stream, bytes)
      readAll(stream).catch(() => {})
    },
    kadTable: () => ({ size: dht.routingTable.size, mode: dht.getMode() }),
    kadPut: (key, value) => collect(dht.put(key, value, within())),
    kadGet: (key) => collect(dht.get(key, within())),
    kadProvide: (cid) => collect(dht.provide(CID.parse(cid), within())),
    kadFindProviders: (cid) => collect(dht.findProviders(CID.parse(cid), within())),
    kadFindPeer: (peer) => collect(dht.findPeer(peerIdFromString(peer), within())),
    kadClosest: (key) => collect(dht.getClosestPeers(key, within())),
    stop: () => node.stop()
  }
}

await run(start)
