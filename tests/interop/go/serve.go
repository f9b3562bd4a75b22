// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	dht "github.com/libp2p/go-libp2p-kad-dht"
)

const (
	echoID    = protocol.ID("/echo/1.0.0")
	perfID    = protocol.ID("/perf/1.0.0")
	batchID   = protocol.ID("/bench/msg/1.0.0")
	messageID = protocol.ID("/lotus/message/1.0.0")
	resetID   = protocol.ID("/test/reset/1.0.0")

	blockBytes      = 64 << 10
	messageBytesMax = 100_000
)

type node struct {
	host       host.Host
	kad        *dht.IpfsDHT
	mdns       io.Closer // nil: none
	identified sync.Map  // peer.ID -> event.EvtPeerIdentificationCompleted
	quiet      atomic.Bool
	messages   atomic.Int64
}

func (n *node) serve() {
	handle := func(id protocol.ID, f func(network.Stream) error) {
		n.host.SetStreamHandler(id, func(s network.Stream) {
			if err := f(s); err != nil {
				s.Reset()
				return
			}
			s.Close()
		})
	}
	handle(echoID, func(s network.Stream) error {
		_, err := io.CopyBuffer(onlyWriter{s}, onlyReader{s}, make([]byte, blockBytes))
		return err
	})
	handle(perfID, servePerf)
	handle(batchID, serveMessages)
	handle(messageID, n.receive)
	n.host.SetStreamHandler(resetID, func(s network.Stream) { s.Reset() })
}

// Hide other methods of a stream, so that io.CopyBuffer really uses the buffer.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

// 8 bytes: how many to send back; then the upload until its end; then the answer.
func servePerf(s network.Stream) error {
	var head [8]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return err
	}
	buf := make([]byte, blockBytes)
	if _, err := io.CopyBuffer(onlyWriter{io.Discard}, onlyReader{s}, buf); err != nil {
		return err
	}
	for left := binary.BigEndian.Uint64(head[:]); left > 0; {
		n := min(left, blockBytes)
		if _, err := s.Write(buf[:n]); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// 4 bytes: the size of a message; then messages, each of which is answered by itself.
func serveMessages(s network.Stream) error {
	in := bufio.NewReaderSize(s, blockBytes)
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > 4<<20 {
		return io.ErrUnexpectedEOF
	}
	message := make([]byte, size)
	for {
		if _, err := io.ReadFull(in, message); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if _, err := s.Write(message); err != nil {
			return err
		}
	}
}

// One Lotus message: a JSON object until the end of the stream; our side is closed, too.
func (n *node) receive(s network.Stream) error {
	text, err := io.ReadAll(io.LimitReader(s, messageBytesMax+1))
	if err != nil || len(text) > messageBytesMax {
		return io.ErrUnexpectedEOF
	}
	var message map[string]any
	peer := s.Conn().RemotePeer().String()
	if err := json.Unmarshal(text, &message); err != nil {
		emit(map[string]any{"event": "bad-message", "peer": peer, "text": err.Error()})
		return err
	}
	n.messages.Add(1)
	if !n.quiet.Load() {
		emit(map[string]any{"event": "message", "peer": peer, "message": message})
	}
	return nil
}
