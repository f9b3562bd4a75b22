// SPDX-License-Identifier: MIT
// Today's js-libp2p (3.x) as a test peer; the language that it is driven by is in ../control.mjs.
import { readFileSync } from 'node:fs'
import { createLibp2p } from 'libp2p'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@chainsafe/libp2p-noise'
import { tls } from '@libp2p/tls'
import { yamux } from '@chainsafe/libp2p-yamux'
import { mplex } from '@libp2p/mplex'
import { identify, identifyPush } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import * as lotusKad from '@libp2p/kad-dht' // the version that Lotus nodes pin: takes keys without a namespace
import * as todayKad from 'kad-dht-today' // today's: only keys of a namespace that has a validator
import { mdns } from '@libp2p/mdns'
import { generateKeyPair, generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { run, emit, fail, discovery, ECHO, MESSAGE, RESET, MESSAGE_BYTES_MAX } from '../control.mjs'

async function readAll (stream, limit = Infinity) {
  const chunks = []
  let total = 0
  for await (const chunk of stream) {
    chunks.push(chunk.subarray())
    total += chunk.byteLength
    if (total > limit) { throw fail('TooLarge', `more than ${limit} bytes`) }
  }
  // A stream that was reset ends its iterator like one that was closed.
  if (stream.status === 'reset' || stream.status === 'aborted') { throw fail('StreamResetError', 'the stream was reset') }
  return Buffer.concat(chunks)
}

async function write (stream, bytes) {
  for (let at = 0; at < bytes.length; at += 65536) {
    if (!stream.send(bytes.subarray(at, at + 65536))) { await stream.onDrain() }
  }
}

async function echo (stream) {
  for await (const chunk of stream) {
    if (!stream.send(chunk)) { await stream.onDrain() }
  }
  await stream.close()
}

// The receiving side of the Lotus coordinator: reads one message and never closes its own side, so a peer gets only
// 32 messages through on a connection unless it resets the streams that it has finished with.
async function receive (stream, connection) {
  const peer = connection.remotePeer.toString()
  try {
    const text = (await readAll(stream, MESSAGE_BYTES_MAX)).toString()
    if (text !== '') { emit({ event: 'message', peer, message: JSON.parse(text) }) }
  } catch (err) {
    emit({ event: 'bad-message', peer, text: err.message })
    stream.abort(err)
  }
}

const KEY_TYPES = { ed25519: 'Ed25519', secp256k1: 'secp256k1', ecdsa: 'ECDSA', rsa: 'RSA' }
// An identity of its own seed, so that a peer can come back as itself, or a new one of the wanted type.
const identity = ({ seed, key_type: type = 'ed25519' }) => seed
  ? generateKeyPairFromSeed('Ed25519', Buffer.from(seed, 'hex'))
  : generateKeyPair(KEY_TYPES[type], type === 'rsa' ? 2048 : undefined)
// The certificate of a secure WebSocket listener; the peers that dial it are told its root by NODE_EXTRA_CA_CERTS.
const certificate = ({ tls_cert: cert, tls_key: key }) =>
  cert && { https: { cert: readFileSync(cert), key: readFileSync(key) } }

async function start (options) {
  const limits = { maxInboundStreams: options.streams_max ?? 32, maxOutboundStreams: options.streams_max ?? 64 }
  const services = { identify: identify(), ping: ping({ maxOutboundStreams: 8 }) } // kad pings too
  if (options.push) { services.identifyPush = identifyPush() } // Lotus nodes have none
  if (options.kad) {
    const { kadDHT, passthroughMapper } = options.kad_line === 'today' ? todayKad : lotusKad
    services.dht = kadDHT({
      protocol: options.kad_protocol ?? '/lotus/kad/1.0.0', clientMode: options.kad !== 'server',
      peerInfoMapper: passthroughMapper, initialQuerySelfInterval: 100,
      validators: { test: async () => {} }, selectors: { test: () => 0 } // the namespace of the keys /test/...
    })
  }
  const node = await createLibp2p({
    privateKey: await identity(options),
    addresses: { listen: options.listen ?? ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), webSockets(certificate(options))],
    connectionEncrypters: (options.security ?? ['noise']).map((name) => ({ noise, tls })[name]()),
    streamMuxers: (options.muxers ?? ['yamux']).map((name) => ({ yamux, mplex })[name]()),
    connectionManager: { inboundConnectionThreshold: options.inbound_per_second ?? 5 },
    peerDiscovery: discovery(options, mdns),
    services
  })
  const identified = new Map()
  node.addEventListener('peer:identify', ({ detail }) => identified.set(detail.peerId.toString(), detail))
  node.addEventListener('peer:connect', ({ detail }) => emit({ event: 'connect', peer: detail.toString() }))
  node.addEventListener('peer:disconnect', ({ detail }) => emit({ event: 'disconnect', peer: detail.toString() }))
  await node.handle(ECHO, (stream) => echo(stream).catch((err) => stream.abort(err)), limits)
  await node.handle(MESSAGE, receive)
  await node.handle(RESET, (stream) => stream.abort(new Error('reset as asked')))

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
      await write(stream, bytes)
      stream.abort(new Error('as asked'))
    },
    exchange: async (peer, protocol, bytes) => {
      const stream = await open(peer, protocol)
      const reading = readAll(stream)
      reading.catch(() => {}) // awaited below, when the writing is over
      try {
        await write(stream, bytes)
        await stream.close()
      } catch (err) { await reading; throw err }
      return reading
    },
    send: async (peer, protocol, bytes) => {
      const stream = await open(peer, protocol)
      await write(stream, bytes)
      await stream.close()
    },
    kadTable: () => ({ size: dht.routingTable.size, mode: dht.getMode() }),
    kadPut: (key, value) => collect(dht.put(key, value, within())),
    kadGet: (key) => collect(dht.get(key, within())),
    kadProvide: (cid) => collect(dht.provide(CID.parse(cid), within())),
    kadFindProviders: (cid) => collect(dht.findProviders(CID.parse(cid), within())),
    kadFindPeer: (peer) => collect(dht.findPeer(peerIdFromString(peer), within())),
    kadClosest: (key) => collect(dht.getClosestPeers(key, within())),
    speak: (protocol) => node.handle(protocol, receive),
    stop: () => node.stop()
  }
}

await run(start)
