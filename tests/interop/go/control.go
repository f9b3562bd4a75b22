// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	ma "github.com/multiformats/go-multiaddr"
)

type command struct {
	ID        any            `json:"id"`
	Cmd       string         `json:"cmd"`
	Addr      string         `json:"addr"`
	Peer      string         `json:"peer"`
	Protocol  string         `json:"protocol"`
	Count     int            `json:"count"`
	Bytes     int64          `json:"bytes"`
	Streams   int            `json:"streams"`
	Parallel  int            `json:"parallel"`
	TimeoutMS int            `json:"timeout_ms"`
	Message   map[string]any `json:"message"`
	Text      string         `json:"text"`
	Size      int            `json:"size"`
	Key       string         `json:"key"`
	Value     string         `json:"value"`
	CID       string         `json:"cid"`
	Kind      string         `json:"kind"`    // of load
	Seconds   float64        `json:"seconds"` // of load
	Depth     int            `json:"depth"`   // of load: messages under way
	Quiet     bool           `json:"quiet"`
}

type answer = map[string]any

func (n *node) control(in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), 16<<20)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			emit(answer{"ok": false, "error": answer{"name": "BadCommand", "text": err.Error()}})
			continue
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
			defer cancel()
			result, err := n.run(ctx, c)
			if err != nil {
				emit(answer{"id": c.ID, "ok": false, "error": answer{"name": fmt.Sprintf("%T", err), "text": err.Error()}})
				return
			}
			if result == nil {
				result = answer{}
			}
			result["id"], result["ok"] = c.ID, true
			emit(result)
		}()
	}
}

func (n *node) info() answer {
	addrs := []string{}
	for _, a := range n.host.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, n.host.ID()))
	}
	return answer{"peer": n.host.ID().String(), "addrs": addrs}
}

func (n *node) run(ctx context.Context, c command) (answer, error) {
	if len(c.Cmd) > 4 && c.Cmd[:4] == "kad." {
		return n.kadCommand(ctx, c)
	}
	switch c.Cmd {
	case "info":
		return n.info(), nil
	case "quiet": // no events: they would be part of what is measured
		n.quiet.Store(true)
		return nil, nil
	case "count": // messages received
		return answer{"messages": n.messages.Load()}, nil
	case "dial":
		return n.dial(ctx, c.Addr)
	case "connections":
		list := []answer{}
		for _, conn := range n.host.Network().Conns() {
			list = append(list, show(conn))
		}
		return answer{"connections": list}, nil
	case "load":
		return n.load(ctx, c)
	case "mdns.stop": // says goodbye
		if n.mdns == nil {
			return nil, errors.New("there is no mDNS")
		}
		return nil, n.mdns.Close()
	}
	id, err := peer.Decode(c.Peer)
	if err != nil {
		return nil, fmt.Errorf("command %q, peer %q: %w", c.Cmd, c.Peer, err)
	}
	switch c.Cmd {
	case "hangup":
		return nil, n.host.Network().ClosePeer(id)
	case "identify":
		return n.identify(ctx, id, c.TimeoutMS)
	case "ping":
		return n.ping(ctx, id, max(c.Count, 1))
	case "echo":
		return n.echo(ctx, id, c)
	case "open":
		s, err := n.host.NewStream(ctx, id, protocol.ID(c.Protocol))
		if err != nil {
			return nil, err
		}
		// The choice is told lazily: only an answer shows that the peer has the protocol.
		defer s.Reset()
		return answer{"protocol": string(s.Protocol())}, nil
	case "abort":
		return nil, n.abort(ctx, id, c)
	case "send":
		return n.send(ctx, id, c)
	}
	return nil, fmt.Errorf("unknown command %s", c.Cmd)
}

func show(c network.Conn) answer {
	direction := "outbound"
	if c.Stat().Direction == network.DirInbound {
		direction = "inbound"
	}
	state := c.ConnState()
	return answer{"peer": c.RemotePeer().String(), "remote_addr": c.RemoteMultiaddr().String(), "direction": direction,
		"muxer": string(state.StreamMultiplexer), "security": string(state.Security)}
}

func (n *node) dial(ctx context.Context, addr string) (answer, error) {
	to, err := ma.NewMultiaddr(addr)
	if err != nil {
		return nil, err
	}
	target, err := peer.AddrInfoFromP2pAddr(to)
	if err != nil {
		return nil, err
	}
	if err := n.host.Connect(ctx, *target); err != nil {
		return nil, err
	}
	conns := n.host.Network().ConnsToPeer(target.ID)
	if len(conns) == 0 {
		return nil, errors.New("the connection has ended")
	}
	return show(conns[0]), nil
}

func (n *node) identify(ctx context.Context, id peer.ID, timeoutMS int) (answer, error) {
	if timeoutMS == 0 {
		timeoutMS = 10_000
	}
	for end := time.Now().Add(time.Duration(timeoutMS) * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		found, ok := n.identified.Load(id)
		if !ok {
			continue
		}
		e := found.(event.EvtPeerIdentificationCompleted)
		addrs := []string{}
		for _, a := range e.ListenAddrs {
			addrs = append(addrs, a.String())
		}
		result := answer{"protocol_version": e.ProtocolVersion, "agent_version": e.AgentVersion, "protocols": e.Protocols,
			"listen_addrs": addrs, "signed_record": e.SignedPeerRecord != nil}
		if e.ObservedAddr != nil {
			result["observed_addr"] = e.ObservedAddr.String()
		}
		return result, nil
	}
	return nil, fmt.Errorf("no identify from %s", id)
}

func (n *node) ping(ctx context.Context, id peer.ID, count int) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rtts := []float64{}
	for result := range ping.Ping(ctx, n.host, id) {
		if result.Error != nil {
			return nil, result.Error
		}
		rtts = append(rtts, float64(result.RTT.Nanoseconds())/1e6)
		if len(rtts) == count {
			break
		}
	}
	return answer{"rtt_ms": rtts}, nil
}

// Runs job `total` times, `parallel` at a time, and counts what happened.
func runAll(total, parallel int, job func(i int) error) answer {
	var mutex sync.Mutex
	var group sync.WaitGroup
	next, done := 0, 0
	failed := map[string]int{}
	for range min(max(parallel, 1), total) {
		group.Go(func() {
			for {
				mutex.Lock()
				i := next
				next++
				mutex.Unlock()
				if i >= total {
					return
				}
				err := job(i)
				mutex.Lock()
				if err == nil {
					done++
				} else {
					failed[err.Error()]++
				}
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	return answer{"done": done, "failed": total - done, "errors": failed}
}

// Sends the bytes, half-closes, returns what comes back until the end.
func (n *node) exchange(ctx context.Context, id peer.ID, proto string, sent []byte) ([]byte, error) {
	s, err := n.host.NewStream(ctx, id, protocol.ID(proto))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	wrote := make(chan error, 1)
	go func() {
		_, err := s.Write(sent)
		if err == nil {
			err = s.CloseWrite()
		}
		wrote <- err
	}()
	got, err := io.ReadAll(s)
	if err == nil {
		err = <-wrote
	}
	if err != nil {
		s.Reset()
	}
	return got, err
}

func (n *node) echo(ctx context.Context, id peer.ID, c command) (answer, error) {
	size, proto, parallel := c.Bytes, c.Protocol, c.Parallel
	if size == 0 {
		size = 32
	}
	if proto == "" {
		proto = string(echoID)
	}
	if parallel == 0 {
		parallel = 16
	}
	return runAll(max(c.Streams, 1), parallel, func(int) error {
		sent := make([]byte, size)
		rand.Read(sent)
		got, err := n.exchange(ctx, id, proto, sent)
		if err == nil && !bytes.Equal(sent, got) {
			err = fmt.Errorf("Mismatch: sent %d bytes, got %d, not equal", len(sent), len(got))
		}
		return err
	}), nil
}

func (n *node) abort(ctx context.Context, id peer.ID, c command) error {
	proto := c.Protocol
	if proto == "" {
		proto = string(echoID)
	}
	s, err := n.host.NewStream(ctx, id, protocol.ID(proto))
	if err != nil {
		return err
	}
	_, err = s.Write(make([]byte, max(c.Bytes, 1000)))
	s.Reset()
	return err
}

// One new stream for each message, one after the other, as the Lotus coordinator's sendTo does it.
func (n *node) send(ctx context.Context, id peer.ID, c command) (answer, error) {
	return runAll(max(c.Count, 1), 1, func(i int) error {
		text := []byte(c.Text)
		if c.Text == "" {
			now := time.Now().UnixMilli()
			m := answer{"type": "data-message", "from": n.host.ID().String(), "payload": answer{"seq": i}, "timestamp": now,
				"messageId": fmt.Sprintf("%x-%x", now, i)}
			for key, value := range c.Message {
				m[key] = value
			}
			text, _ = json.Marshal(m)
		}
		if pad := c.Size - len(text); pad > 0 {
			text = append(text, bytes.Repeat([]byte(" "), pad)...)
		}
		s, err := n.host.NewStream(ctx, id, messageID)
		if err != nil {
			return err
		}
		if _, err := s.Write(text); err != nil {
			s.Reset()
			return err
		}
		return s.Close()
	}), nil
}
