// SPDX-License-Identifier: MIT
// js-libp2p inside a browser: connects to a node of ours by WebSocket, sends it a Lotus message, gets the answer on a stream that
// the node opens, and announces a resource in the DHT through it. Bundled by run.mjs, which calls window.talk.
import { createLibp2p } from 'libp2p'
import { webSockets } from '@libp2p/websockets'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { multiaddr } from '@multiformats/multiaddr'

const MESSAGE = '/lotus/message/1.0.0'
const step = (text) => { document.querySelector('#steps').append(Object.assign(document.createElement('li'), { textContent: text })) }

async function readAll (stream) {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of stream) { text += decoder.decode(chunk.subarray(), { stream: true }) }
  return text
}

window.talk = async (addr, resource) => {
  const node = await createLibp2p({
    addresses: { listen: [] },
    transports: [webSockets()], connectionEncrypters: [noise()], streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false }, // browsers refuse loopback and plain WebSockets otherwise
    services: {
      identify: identify(), ping: ping({ maxOutboundStreams: 8 }), // the DHT pings too
      dht: kadDHT({ protocol: '/lotus/kad/1.0.0', clientMode: true, peerInfoMapper: passthroughMapper, initialQuerySelfInterval: 100 })
    }
  })
  step(`this browser is ${node.peerId}`)
  const answered = new Promise((resolve) => node.handle(MESSAGE, async (stream) => resolve(JSON.parse(await readAll(stream)))))
  const connection = await node.dial(multiaddr(addr), { signal: AbortSignal.timeout(20_000) })
  step(`connected: ${connection.remoteAddr}, ${connection.encryption}, ${connection.multiplexer}`)
  const rtt = await node.services.ping.ping(connection.remotePeer)
  step(`ping: ${rtt} ms`)

  const stream = await connection.newStream(MESSAGE)
  stream.send(new TextEncoder().encode(JSON.stringify({ type: 'data-message', from: node.peerId.toString(), protocol: 'chat',
    payload: { text: 'hello from the browser' }, timestamp: Date.now(), messageId: crypto.randomUUID() })))
  await stream.close()
  const answer = await answered
  step(`the node answered: ${JSON.stringify(answer.payload)}`)

  while (node.services.dht.routingTable.size === 0) { await new Promise((resolve) => setTimeout(resolve, 20)) }
  const key = `resource:${resource.resourceType}:${resource.resourceId}`
  const encode = (text) => new TextEncoder().encode(text)
  let stored = 0
  const announced = { ...resource, creatorPeerId: node.peerId.toString(), createdAt: Date.now(), expiresAt: Date.now() + 3_600_000 }
  for await (const event of node.services.dht.put(encode(key), encode(JSON.stringify(announced)))) {
    if (event.name === 'PEER_RESPONSE') { stored++ }
  }
  step(`announced ${key}: stored by ${stored}`)
  return { peer: node.peerId.toString(), answer, stored, security: connection.encryption, muxer: connection.multiplexer }
}
