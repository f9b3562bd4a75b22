# SPDX-License-Identifier: MIT
"""We dial a js peer: with the tool lp2p (one node for each command) and with the daemon lp2pd (it keeps the connection)."""
from peers import LOOPBACK, expect, lp2p

MUXER_IDS = {"yamux": "/yamux/1.0.0", "mplex": "/mplex/6.7.0"}
OTHER_PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
JS_PROTOCOLS = {"/echo/1.0.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/lotus/message/1.0.0"}
OUR_PROTOCOLS = {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/lotus/message/1.0.0"}


class Dial:
    def __init__(self, context, line, muxer):
        self.context, self.line, self.muxer = context, line, muxer

    def peer(self, **options):
        return self.context.peer(self.line, muxers=[self.muxer], **options)

    def lp2p(self, *args, **options):
        return lp2p(self.context.build, *args, "--muxers", self.muxer, **options)

    def connected(self, **options):
        """A js peer and our daemon, which has dialed it as its bootstrap peer."""
        js = self.peer(**options)
        daemon = self.context.daemon("--bootstrap", js.addr, "--muxers", self.muxer, "--serve", "echo,perf")
        daemon.wait_event("peer:connect", peer=js.peer, direction="outbound", muxer=MUXER_IDS[self.muxer])
        js.wait_event("connect", peer=daemon.peer)
        return js, daemon

    def identify(self):
        js = self.peer()
        got = self.lp2p("identify", js.addr)
        expect(got["peer"] == js.peer, f"peer {got}")
        expect(JS_PROTOCOLS <= set(got["protocols"]), f"protocols {got['protocols']}")
        expect("libp2p/" in got["agent_version"], f"agent {got}")
        expect(got["muxer"] == MUXER_IDS[self.muxer] and got["security"] == "/noise", f"muxer, security {got}")
        expect(got["signed_record"] is True, f"signed record {got}")
        expect(js.addr.split("/p2p/")[0] in [a.split("/p2p/")[0] for a in got["listen_addrs"]], f"addresses {got}")
        expect(got["observed_addr"].startswith("/ip4/127.0.0.1/tcp/"), f"observed {got}")

    def identified(self):
        js, daemon = self.connected()
        seen = js.do("identify", peer=daemon.peer)
        expect(OUR_PROTOCOLS | {"/echo/1.0.0", "/perf/1.0.0"} <= set(seen["protocols"]), f"protocols {seen}")
        expect("lotus-p2p" in seen["agent_version"], f"agent {seen}")
        expect(seen["signed_record"], f"js found no valid signed record: {seen}")
        expect(daemon.addr.split("/p2p/")[0] in [a.split("/p2p/")[0] for a in seen["listen_addrs"]], f"addresses {seen}")
        daemon.wait_for("peer:update with the protocols of js", lambda lines: any(
            line.get("event") == "peer:update" and line["peer"] == js.peer
            and JS_PROTOCOLS <= set(line.get("protocols", [])) for line in lines))

    def ping(self):
        js = self.peer()
        got = self.lp2p("ping", js.addr, "-n", 5)
        expect(got["sent"] == 5 and got["received"] == 5 and got["rtt_min_ms"] > 0, f"{got}")

    def pinged(self):
        js, daemon = self.connected()
        got = js.do("ping", peer=daemon.peer, count=5)
        expect(len(got["rtt_ms"]) == 5, f"{got}")

    def echo_mib(self):
        js = self.peer()
        got = self.lp2p("echo", js.addr, "--bytes", 1 << 20, "--streams", 1)
        expect(got["streams_ok"] == 1 and got["bytes_total"] == 1 << 20, f"{got}")

    def echo_streams(self):
        js = self.peer(streams_max=64)
        got = self.lp2p("echo", js.addr, "--bytes", 32, "--streams", 1000)
        expect(got["streams_ok"] == 1000 and got["streams_failed"] == 0, f"{got}")

    def echoed(self):
        """js opens the streams, on the connection that we dialed."""
        js, daemon = self.connected(streams_max=64)
        js.do_all("echo", 1, peer=daemon.peer, bytes=1 << 20)
        js.do_all("echo", 1000, peer=daemon.peer, streams=1000, parallel=16)

    def wrong_peer(self):
        js = self.peer()
        wrong = js.addr.split("/p2p/")[0] + "/p2p/" + OTHER_PEER
        got = self.lp2p("ping", wrong, "-n", 1, code=1)
        expect(got["code"] == "EWRONGPEER" and got["stage"] == "security", f"{got}")
        expect(got["address"] == wrong, f"the address dialed is not named: {got}")
        expect(OTHER_PEER in got["detail"] and js.peer in got["detail"], f"both identities are not named: {got}")
        js.do("info")
        self.lp2p("ping", js.addr, "-n", 1)

    def refused(self):
        js = self.peer()
        js.kill()
        got = self.lp2p("ping", js.addr, "-n", 1, code=1)
        expect(got["code"] == "ECONNREFUSED" and got["stage"] == "connect" and got["address"] == js.addr, f"{got}")

    def reset(self):
        js = self.peer()
        got = self.lp2p("echo", js.addr, "--bytes", 1000, "--protocol-id", "/test/reset/1.0.0", code=1)
        expect(got["code"] == "ERESET", f"{got}")
        self.lp2p("echo", js.addr, "--bytes", 1000)

    def unknown(self):
        js = self.peer()
        got = self.lp2p("echo", js.addr, "--bytes", 1000, "--protocol-id", "/nobody/has/this/1.0.0", code=1)
        expect(got["code"] == "ENEGOTIATION" and got["stage"] == "protocol", f"{got}")
        self.lp2p("echo", js.addr, "--bytes", 1000)

    def send(self, count):
        """The js side is the Lotus receiver: it never closes a message stream and allows 32 at a time."""
        js = self.peer()
        got = self.lp2p("send", js.addr, "--protocol", "my-protocol", "--type", "data-message", "--payload",
                        '{"text":"gr\u00fc\u00dfe","n":1}', "--count", count, deadline_s=240)
        expect(got["sent"] == count, f"{got}")
        js.wait_for(f"{count} messages", lambda lines: sum(line.get("event") == "message" for line in lines) >= count, 60)
        expect(len(set(js.message_ids())) == count, f"{len(set(js.message_ids()))} different ids of {count}")
        expect(len(js.events("connect")) == 1, f"connections: {js.events('connect')}")
        expect(not js.events("bad-message"), f"{js.events('bad-message')[:1]}")
        message = js.events("message")[-1]["message"]
        expect(message["payload"] == {"text": "gr\u00fc\u00dfe", "n": 1} and message["protocol"] == "my-protocol", f"{message}")
        expect(message["from"] == js.events("message")[-1]["peer"], f"from is not the sender: {message}")

    def receive(self):
        js, daemon = self.connected()
        js.do_all("send", 200, peer=daemon.peer, count=200, message={"protocol": "my-protocol"})
        daemon.wait_for("200 messages", lambda lines: sum(line.get("event") == "message" for line in lines) >= 200)
        ids = {line["message"]["messageId"] for line in daemon.events("message")}
        expect(len(ids) == 200, f"{len(ids)} different ids")
        expect(all(line["peer"] == js.peer for line in daemon.events("message")), "a message names another peer")
        expect(len(js.do("connections")["connections"]) == 1, "more than one connection")

    def comes_back(self):
        """The population rule: a bootstrap peer that went away and came back is dialed again."""
        seed = "1f" * 32
        js = self.peer(seed=seed)
        daemon = self.context.daemon("--bootstrap", js.addr, "--muxers", self.muxer)
        daemon.wait_event("peer:connect", peer=js.peer)
        js.kill()
        daemon.wait_event("peer:disconnect", peer=js.peer)
        start = len(daemon.lines)
        again = self.peer(seed=seed, listen=[js.addr.split("/p2p/")[0]])
        expect(again.peer == js.peer, "the js peer has another identity")
        daemon.wait_event("peer:connect", start=start, peer=js.peer, deadline_s=90)
        again.do("ping", peer=daemon.peer)


NAMES = [("identify", Dial.identify), ("js identifies us", Dial.identified), ("ping", Dial.ping),
         ("js pings us", Dial.pinged), ("echo of 1 MiB", Dial.echo_mib), ("echo of 1,000 streams", Dial.echo_streams),
         ("echo of 1 MiB and 1,000 streams opened by js", Dial.echoed),
         ("a wrong peer id is refused with a clear error", Dial.wrong_peer),
         ("nobody listens: a clear error", Dial.refused), ("js resets a stream", Dial.reset),
         ("a protocol that js does not have", Dial.unknown), ("200 messages to js", lambda case: case.send(200)),
         ("1,000 messages to a receiver that never closes", lambda case: case.send(1000)),
         ("200 messages from js", Dial.receive), ("a bootstrap peer goes and comes back", Dial.comes_back)]


def cases(context):
    for line, muxer in [("js1", "yamux"), ("js1", "mplex"), ("js3", "yamux")]:
        for name, run in NAMES:
            case = Dial(context, line, muxer)
            yield f"we dial {line}, {muxer}: {name}", (line,), lambda case=case, run=run: run(case)


__all__ = ["LOOPBACK", "MUXER_IDS", "OTHER_PEER", "OUR_PROTOCOLS", "cases"]
