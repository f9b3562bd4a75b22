// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// The load that this peer puts on another one: {"cmd":"load","kind":K,"addr":A,"seconds":S,"parallel":P}. The answer has
// `seconds`, `count` and, for up and down, `bytes`; for ping `p50_us` and `p99_us`.
func (n *node) load(ctx context.Context, c command) (answer, error) {
	n.quiet.Store(true)
	c.Parallel = max(c.Parallel, 1)
	if c.Seconds == 0 {
		c.Seconds = 2
	}
	if c.Kind == "connections" {
		return loadConnections(ctx, c)
	}
	if _, err := n.dial(ctx, c.Addr); err != nil {
		return nil, err
	}
	target, err := peer.AddrInfoFromString(c.Addr)
	if err != nil {
		return nil, err
	}
	switch c.Kind {
	case "up", "down":
		return n.loadBulk(ctx, target.ID, c)
	case "ping":
		return n.loadPing(ctx, target.ID, c)
	case "messages":
		return n.loadMessages(ctx, target.ID, c)
	case "streams":
		return n.loadStreams(ctx, target.ID, c)
	}
	return nil, fmt.Errorf("unknown kind of load %q", c.Kind)
}

func (n *node) loadBulk(ctx context.Context, id peer.ID, c command) (answer, error) {
	var total atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, c.Parallel)
	start := time.Now()
	end := start.Add(time.Duration(c.Seconds * float64(time.Second)))
	for range c.Parallel {
		group.Go(func() {
			if err := n.bulkStream(ctx, id, c.Kind == "up", end, &total); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
	}
	return answer{"bytes": total.Load(), "count": c.Parallel, "seconds": time.Since(start).Seconds()}, nil
}

func (n *node) bulkStream(ctx context.Context, id peer.ID, up bool, end time.Time, total *atomic.Int64) error {
	s, err := n.host.NewStream(ctx, id, perfID)
	if err != nil {
		return err
	}
	buf := make([]byte, blockBytes)
	var head [8]byte
	if !up {
		defer s.Reset()
		binary.BigEndian.PutUint64(head[:], 1<<53-1)
	}
	if _, err := s.Write(head[:]); err != nil {
		return err
	}
	if up {
		for time.Now().Before(end) {
			if _, err := s.Write(buf); err != nil {
				return err
			}
			total.Add(blockBytes)
		}
		s.CloseWrite()
		_, err = io.Copy(io.Discard, s) // the end of the answer: everything was read
		return err
	}
	s.CloseWrite()
	for time.Now().Before(end) {
		got, err := s.Read(buf)
		if err != nil {
			return err
		}
		total.Add(int64(got))
	}
	return nil
}

func (n *node) loadPing(ctx context.Context, id peer.ID, c command) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var rtts []time.Duration
	start := time.Now()
	for result := range ping.Ping(ctx, n.host, id) {
		if result.Error != nil {
			return nil, result.Error
		}
		rtts = append(rtts, result.RTT)
		if time.Since(start).Seconds() >= c.Seconds {
			break
		}
	}
	seconds := time.Since(start).Seconds()
	sort.Slice(rtts, func(i, j int) bool { return rtts[i] < rtts[j] })
	at := func(p float64) float64 { return float64(rtts[int(p*float64(len(rtts)-1))].Nanoseconds()) / 1e3 }
	return answer{"count": len(rtts), "seconds": seconds, "p50_us": at(0.5), "p99_us": at(0.99)}, nil
}

func (n *node) loadMessages(ctx context.Context, id peer.ID, c command) (answer, error) {
	size, depth := max(c.Size, 1), max(c.Depth, 1)
	s, err := n.host.NewStream(ctx, id, batchID)
	if err != nil {
		return nil, err
	}
	defer s.Reset()
	var head [4]byte
	binary.BigEndian.PutUint32(head[:], uint32(size))
	if _, err := s.Write(head[:]); err != nil {
		return nil, err
	}
	places := make(chan struct{}, depth) // messages under way
	start := time.Now()
	end := start.Add(time.Duration(c.Seconds * float64(time.Second)))
	go func() {
		message := make([]byte, size)
		for time.Now().Before(end) {
			places <- struct{}{}
			if _, err := s.Write(message); err != nil {
				break
			}
		}
		s.CloseWrite()
	}()
	in := bufio.NewReaderSize(s, blockBytes)
	message := make([]byte, size)
	count := 0
	for {
		if _, err := io.ReadFull(in, message); err != nil {
			if err == io.EOF {
				break
			}
			return nil, err
		}
		<-places
		count++
	}
	return answer{"count": count, "seconds": time.Since(start).Seconds()}, nil
}

// Each stream: open, 1 KiB, half-close, the answer, close.
func (n *node) loadStreams(ctx context.Context, id peer.ID, c command) (answer, error) {
	var total atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	end := start.Add(time.Duration(c.Seconds * float64(time.Second)))
	failed := make(chan error, c.Parallel)
	for range c.Parallel {
		group.Go(func() {
			sent := make([]byte, 1024)
			for time.Now().Before(end) {
				got, err := n.exchange(ctx, id, string(echoID), sent)
				if err == nil && len(got) != len(sent) {
					err = fmt.Errorf("sent %d bytes, got %d", len(sent), len(got))
				}
				if err != nil {
					failed <- err
					return
				}
				total.Add(1)
			}
		})
	}
	group.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
	}
	return answer{"count": total.Load(), "seconds": time.Since(start).Seconds()}, nil
}

// New connections, each from a host of its own (made before the clock starts), with identify, then closed.
func loadConnections(ctx context.Context, c command) (answer, error) {
	target, err := peer.AddrInfoFromString(c.Addr)
	if err != nil {
		return nil, err
	}
	hosts := make([]host.Host, max(c.Count, 1))
	for i := range hosts {
		if hosts[i], err = newHost(options{DialOnly: true}); err != nil {
			return nil, err
		}
		defer hosts[i].Close()
	}
	start := time.Now()
	result := runAll(len(hosts), c.Parallel, func(i int) error {
		if err := hosts[i].Connect(ctx, *target); err != nil { // returns when identify has run
			return err
		}
		return hosts[i].Network().ClosePeer(target.ID)
	})
	result["count"], result["seconds"] = result["done"], time.Since(start).Seconds()
	return result, nil
}
