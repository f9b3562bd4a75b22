// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// go-libp2p under the official transport contract (../../README.md), over TCP and plain WebSocket: everything in the environment, in both
// spellings; listener and dialer meet through redis.

// One command on a connection of its own: its text, the last one of an array, "" for none.
func ask(words ...string) (string, error) {
	conn, err := net.Dial("tcp", setting("REDIS_ADDR", "redis_addr", "redis:6379"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text := fmt.Sprintf("*%d\r\n", len(words))
	for _, word := range words {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	in, left, last := bufio.NewReader(conn), 1, ""
	for ; left > 0; left-- {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		switch line = strings.TrimRight(line, "\r\n"); {
		case strings.HasPrefix(line, "-"):
			return "", fmt.Errorf("redis: %s", line)
		case strings.HasPrefix(line, "*"):
			count, _ := strconv.Atoi(line[1:])
			left += max(count, 0)
		case strings.HasPrefix(line, "$") && line != "$-1":
			left++ // its text is the next line
		default:
			last = line
		}
	}
	return last, nil
}

func setting(upper, lower, otherwise string) string {
	name := lower
	if os.Getenv("IS_DIALER") != "" {
		name = upper
	}
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func contract() error {
	seconds, err := strconv.Atoi(setting("TEST_TIMEOUT_SECS", "test_timeout_seconds", "180"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	key := setting("TEST_KEY", "", "") + "_listener_multiaddr"
	if os.Getenv("IS_DIALER") == "" {
		key = "listenerAddr"
	}
	carrier := map[string]string{"tcp": "", "ws": "/ws"}[setting("TRANSPORT", "transport", "")]
	dialer := setting("IS_DIALER", "is_dialer", "") == "true"
	h, err := newHost(options{
		Listen:    []string{fmt.Sprintf("/ip4/%s/tcp/0%s", setting("LISTENER_IP", "ip", "0.0.0.0"), carrier)},
		Security:  []string{setting("SECURE_CHANNEL", "security", "")},
		WebSocket: carrier != "", DialOnly: dialer,
	})
	if err != nil {
		return err
	}
	defer h.Close()
	for _, err = ask("PING"); err != nil; _, err = ask("PING") {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
	if !dialer {
		if _, err := ask("DEL", key); err != nil {
			return err
		}
		if _, err := ask("RPUSH", key, fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID())); err != nil {
			return err
		}
		<-ctx.Done() // whoever runs the test ends it
		return ctx.Err()
	}
	addr, err := ask("BLPOP", key, strconv.Itoa(seconds))
	if err != nil {
		return err
	}
	target, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := h.Connect(ctx, *target); err != nil {
		return err
	}
	result := <-ping.Ping(ctx, h, target.ID)
	if result.Error != nil {
		return result.Error
	}
	form := "{\"handshakePlusOneRTTMillis\": %.3f, \"pingRTTMilllis\": %.3f}\n"
	if os.Getenv("IS_DIALER") != "" {
		form = "latency:\n  handshake_plus_one_rtt: %.3f\n  ping_rtt: %.3f\n  unit: ms\n"
	}
	fmt.Printf(form, time.Since(begun).Seconds()*1000, result.RTT.Seconds()*1000)
	return nil
}
