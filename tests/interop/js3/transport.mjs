// SPDX-License-Identifier: MIT
// js-libp2p 3.x under the official transport contract (../../README.md): everything in the environment, in both spellings; listener
// and dialer meet through redis. TLS_CERT and TLS_KEY (PEM files) are besides the contract: what a listener on wss shows.
import { connect } from 'node:net'
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
import { multiaddr } from '@multiformats/multiaddr'

const env = process.env
const unified = env.IS_DIALER != null
const either = (upper, lower, otherwise) => env[unified ? upper : lower] ?? otherwise
const dialer = either('IS_DIALER', 'is_dialer') === 'true'
const transport = either('TRANSPORT', 'transport')
const seconds = Number(either('TEST_TIMEOUT_SECS', 'test_timeout_secs', 180))
const key = unified ? `${env.TEST_KEY}_listener_multiaddr` : 'listenerAddr'
const [host, port] = either('REDIS_ADDR', 'redis_addr', 'redis:6379').split(':')
env.NODE_TLS_REJECT_UNAUTHORIZED = '0' // the suite has no root that everybody knows

// One command on a connection of its own. Of an array its last text, null for none.
const ask = (...words) => new Promise((resolve, reject) => {
  const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`)
  const socket = connect(Number(port), host, () => socket.write(`*${words.length}\r\n${parts.join('')}`))
  let text = ''
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('redis went away')))
  socket.on('data', (bytes) => {
    text += bytes
    const lines = text.split('\r\n')
    if (lines.length - 1 < (text.startsWith('*2') ? 5 : 1)) { return }
    if (text.startsWith('-')) { reject(new Error(lines[0])) }
    resolve(text.startsWith('*2') ? lines[4] : text.startsWith('*') ? null : lines[0])
    socket.destroy()
  })
})

async function untilThere () {
  for (;;) {
    try { return await ask('PING') } catch (err) {
      if (performance.now() > seconds * 1000) { throw err }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

const listen = `/ip4/${either('LISTENER_IP', 'ip', '0.0.0.0')}/tcp/0${{ tcp: '', ws: '/ws', wss: '/tls/ws' }[transport]}`
const https = env.TLS_CERT && { https: { cert: readFileSync(env.TLS_CERT), key: readFileSync(env.TLS_KEY) } }
const node = await createLibp2p({
  addresses: { listen: dialer ? [] : [listen] },
  transports: [transport === 'tcp' ? tcp() : webSockets(https)],
  connectionEncrypters: [{ noise, tls }[either('SECURE_CHANNEL', 'security')]()],
  streamMuxers: [{ yamux, mplex }[either('MUXER', 'muxer')]()],
  services: { identify: identify(), ping: ping() }
})
await untilThere()
if (dialer) {
  const addr = await ask('BLPOP', key, seconds)
  const signal = AbortSignal.timeout(seconds * 1000)
  const begun = performance.now()
  const connection = await node.dial(multiaddr(addr), { signal })
  const dialed = performance.now()
  await node.services.ping.ping(connection.remotePeer, { signal })
  const [both, rtt] = [performance.now() - begun, performance.now() - dialed].map((ms) => ms.toFixed(3))
  console.log(unified
    ? `latency:\n  handshake_plus_one_rtt: ${both}\n  ping_rtt: ${rtt}\n  unit: ms`
    : `{"handshakePlusOneRTTMillis": ${both}, "pingRTTMilllis": ${rtt}}`)
  await node.stop()
  process.exit(0)
}
const addrs = node.getMultiaddrs().map(String)
await ask('DEL', key)
await ask('RPUSH', key, addrs.find((addr) => !addr.startsWith('/ip4/127.')) ?? addrs[0])
await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
process.exit(1)
