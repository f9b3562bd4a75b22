// SPDX-License-Identifier: MIT

// go-libp2p as a test and bench peer: TCP, Noise and yamux, unless the options ask for more. It is driven by JSON lines on standard input, in the
// language of the js peers (../README.md), and serves the protocols of ../../../bench/README.md.
//
//	go-peer OPTIONS          OPTIONS is one JSON object
//	go-peer contract         the official transport contract (contract.go)
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
)

type options struct {
	Listen      []string `json:"listen"`       // default: a free port on loopback
	Kad         string   `json:"kad"`          // "server", "client"; none without it
	KadProtocol string   `json:"kad_protocol"` // default /lotus/kad/1.0.0
	Seed        string   `json:"seed"`         // 64 hex digits: the Ed25519 key
	KeyType     string   `json:"key_type"`     // without seed: "ed25519", "secp256k1", "ecdsa", "rsa"
	Security    []string `json:"security"`     // "noise", "tls", in order of preference; default noise
	WebSocket   bool     `json:"websocket"`    // /ws and /tls/ws
	TLSCert     string   `json:"tls_cert"`     // files for listening on /tls/ws
	TLSKey      string   `json:"tls_key"`
	TLSRoots    string   `json:"tls_roots"`    // whom to trust when dialing /tls/ws
	StockLimits bool     `json:"stock_limits"` // go-libp2p's own limits; otherwise none
	DialOnly    bool     `json:"dial_only"`
	MDNS        bool     `json:"mdns"` // discovery on the local network
}

var output sync.Mutex

func emit(object map[string]any) {
	line, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func identity(o options) (crypto.PrivKey, error) {
	if o.Seed == "" {
		kinds := map[string]int{"": crypto.Ed25519, "ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1,
			"ecdsa": crypto.ECDSA, "rsa": crypto.RSA}
		kind, ok := kinds[o.KeyType]
		if !ok {
			return nil, fmt.Errorf("key_type %q is unknown", o.KeyType)
		}
		key, _, err := crypto.GenerateKeyPairWithReader(kind, 2048, rand.Reader)
		return key, err
	}
	bytes, err := hex.DecodeString(o.Seed)
	if err != nil || len(bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("seed: expected 64 hex digits")
	}
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(bytes))
}

func security(names []string) ([]libp2p.Option, error) {
	if len(names) == 0 {
		names = []string{"noise"}
	}
	settings := []libp2p.Option{}
	for _, name := range names {
		switch name {
		case "noise":
			settings = append(settings, libp2p.Security(noise.ID, noise.New))
		case "tls":
			settings = append(settings, libp2p.Security(libp2ptls.ID, libp2ptls.New))
		default:
			return nil, fmt.Errorf("security %q is unknown", name)
		}
	}
	return settings, nil
}

func webSocket(o options) (libp2p.Option, error) {
	settings := []any{}
	if o.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return nil, err
		}
		settings = append(settings, websocket.WithTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}))
	}
	if o.TLSRoots != "" {
		pem, err := os.ReadFile(o.TLSRoots)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		settings = append(settings, websocket.WithTLSClientConfig(&tls.Config{RootCAs: roots}))
	}
	return libp2p.Transport(websocket.New, settings...), nil
}

func newHost(o options) (host.Host, error) {
	key, err := identity(o)
	if err != nil {
		return nil, err
	}
	settings, err := security(o.Security)
	if err != nil {
		return nil, err
	}
	if o.WebSocket {
		setting, err := webSocket(o)
		if err != nil {
			return nil, err
		}
		settings = append(settings, setting)
	}
	settings = append(settings,
		libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport), libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(), libp2p.NonPublicAddrPublishing(true))
	if !o.StockLimits {
		settings = append(settings, libp2p.ResourceManager(&network.NullResourceManager{}),
			libp2p.ConnectionManager(connmgr.NullConnMgr{}))
	}
	switch {
	case o.DialOnly:
		settings = append(settings, libp2p.NoListenAddrs)
	case len(o.Listen) == 0:
		settings = append(settings, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	default:
		settings = append(settings, libp2p.ListenAddrStrings(o.Listen...))
	}
	return libp2p.New(settings...)
}

func watch(n *node) {
	found, err := n.host.EventBus().Subscribe([]any{new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerConnectednessChanged)})
	if err != nil {
		panic(err)
	}
	for e := range found.Out() {
		switch e := e.(type) {
		case event.EvtPeerIdentificationCompleted:
			n.identified.Store(e.Peer, e)
		case event.EvtPeerConnectednessChanged:
			if n.quiet.Load() {
				continue
			}
			if e.Connectedness == network.Connected {
				emit(map[string]any{"event": "connect", "peer": e.Peer.String()})
			} else if e.Connectedness == network.NotConnected {
				emit(map[string]any{"event": "disconnect", "peer": e.Peer.String()})
			}
		}
	}
}

// Whom mDNS found is told, and dialed by command only.
type finder struct{}

func (finder) HandlePeerFound(found peer.AddrInfo) {
	addrs := []string{}
	for _, a := range found.Addrs {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, found.ID))
	}
	emit(map[string]any{"event": "discovered", "peer": found.ID.String(), "addrs": addrs})
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "contract" {
		if err := contract(); err != nil {
			fmt.Fprintln(os.Stderr, "go-peer:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	if len(os.Args) > 1 {
		if err := json.Unmarshal([]byte(os.Args[1]), &o); err != nil {
			fmt.Fprintln(os.Stderr, "usage: go-peer OPTIONS (one JSON object):", err)
			os.Exit(2)
		}
	}
	h, err := newHost(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-peer:", err)
		os.Exit(1)
	}
	n := &node{host: h}
	n.serve()
	if o.Kad != "" {
		if err := n.startKad(o.Kad, o.KadProtocol); err != nil {
			fmt.Fprintln(os.Stderr, "go-peer:", err)
			os.Exit(1)
		}
	}
	if o.MDNS {
		service := mdns.NewMdnsService(h, "", finder{})
		if err := service.Start(); err != nil {
			fmt.Fprintln(os.Stderr, "go-peer: mdns:", err)
			os.Exit(1)
		}
		n.mdns = service
	}
	go watch(n)
	ready := n.info()
	ready["event"] = "ready"
	emit(ready)
	n.control(os.Stdin)
	h.Close()
}
