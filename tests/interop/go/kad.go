// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"

	"github.com/ipfs/go-cid"
	ma "github.com/multiformats/go-multiaddr"
)

// Takes every record, as Lotus nodes do.
type anyRecord struct{}

func (anyRecord) Validate(string, []byte) error        { return nil }
func (anyRecord) Select(string, [][]byte) (int, error) { return 0, nil }

func (n *node) startKad(mode, id string) error {
	if id == "" {
		id = "/lotus/kad/1.0.0"
	}
	role := dht.ModeServer
	if mode == "client" {
		role = dht.ModeClient
	}
	kad, err := dht.New(n.host, dht.Mode(role), dht.ProtocolPrefix("/lotus"), dht.V1ProtocolOverride(protocol.ID(id)),
		dht.Validator(anyRecord{}), dht.DisableAutoRefresh())
	n.kad = kad
	return err
}

// Puts peers into the routing table that do not exist, each with an address of loopback.
func (n *node) fillTable(count int) (int, error) {
	for i := 0; i < count; i++ {
		_, public, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return 0, err
		}
		id, err := peer.IDFromPublicKey(public)
		if err != nil {
			return 0, err
		}
		addr := ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 20000+i))
		n.host.Peerstore().AddAddr(id, addr, peerstore.PermanentAddrTTL)
		n.kad.RoutingTable().TryAddPeer(id, true, false)
	}
	return n.kad.RoutingTable().Size(), nil
}

func infos(peers []peer.AddrInfo) []map[string]any {
	out := []map[string]any{}
	for _, p := range peers {
		addrs := []string{}
		for _, a := range p.Addrs {
			addrs = append(addrs, a.String())
		}
		out = append(out, map[string]any{"peer": p.ID.String(), "addrs": addrs})
	}
	return out
}

func (n *node) kadCommand(ctx context.Context, c command) (map[string]any, error) {
	if n.kad == nil {
		return nil, fmt.Errorf("started without kad")
	}
	if c.Cmd == "kad.table" {
		return map[string]any{"size": n.kad.RoutingTable().Size(), "mode": modeName(n.kad.Mode())}, nil
	}
	if c.Cmd == "kad.fill" {
		size, err := n.fillTable(c.Count)
		return map[string]any{"size": size}, err
	}
	var mutex sync.Mutex
	asked, answers := 0, 0
	values, providers, peers, errors := []any{}, []map[string]any{}, []map[string]any{}, []string{}
	ctx, cancel := context.WithCancel(ctx)
	ctx, events := routing.RegisterForQueryEvents(ctx)
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for e := range events {
			mutex.Lock()
			switch e.Type {
			case routing.SendingQuery:
				asked++
			case routing.PeerResponse:
				answers++
			case routing.QueryError:
				errors = append(errors, e.Extra)
			}
			mutex.Unlock()
		}
	}()
	err := n.kadQuery(ctx, c, &values, &providers, &peers)
	cancel()
	<-seen
	return map[string]any{"asked": asked, "answers": answers, "values": values, "providers": providers, "peers": peers,
		"errors": errors}, err
}

func (n *node) kadQuery(ctx context.Context, c command, values *[]any, providers, peers *[]map[string]any) error {
	switch c.Cmd {
	case "kad.put":
		return n.kad.PutValue(ctx, c.Key, []byte(c.Value))
	case "kad.get":
		value, err := n.kad.GetValue(ctx, c.Key)
		if err == nil {
			*values = append(*values, map[string]any{"value": string(value)})
		}
		return err
	case "kad.closest":
		ids, err := n.kad.GetClosestPeers(ctx, c.Key)
		for _, id := range ids {
			*peers = append(*peers, infos([]peer.AddrInfo{n.host.Peerstore().PeerInfo(id)})...)
		}
		return err
	case "kad.provide", "kad.findprovs":
		id, err := cid.Decode(c.CID)
		if err != nil {
			return err
		}
		if c.Cmd == "kad.provide" {
			return n.kad.Provide(ctx, id, true)
		}
		found, err := n.kad.FindProviders(ctx, id)
		*providers = infos(found)
		return err
	case "kad.findpeer":
		id, err := peer.Decode(c.Peer)
		if err != nil {
			return err
		}
		found, err := n.kad.FindPeer(ctx, id)
		if err == nil {
			*peers = infos([]peer.AddrInfo{found})
		}
		return err
	}
	return fmt.Errorf("unknown command %s", c.Cmd)
}

func modeName(mode dht.ModeOpt) string {
	if mode == dht.ModeServer {
		return "server"
	}
	return "client"
}
