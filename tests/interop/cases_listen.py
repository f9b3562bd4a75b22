# SPDX-License-Identifier: MIT
"""A js peer dials us: lp2pd listens and serves."""
from cases_dial import JS_PROTOCOLS, MUXER_IDS, OTHER_PEER, OUR_PROTOCOLS
from peers import KAD, expect


class Listen:
    def __init__(self, context, line, muxer):
        self.context, self.line, self.muxer = context, line, muxer

    def connected(self, **options):
        daemon = self.context.daemon("--serve", "echo,perf", "--dht", "server", "--muxers", "yamux,mplex")
        js = self.context.peer(self.line, muxers=[self.muxer], listen=[], **options)
        dialed = js.do("dial", addr=daemon.addr)
        expect(dialed["peer"] == daemon.peer and dialed["muxer"] == MUXER_IDS[self.muxer], f"{dialed}")
        return daemon, js

    def identify(self):
        daemon, js = self.connected()
        seen = js.do("identify", peer=daemon.peer)
        expect(OUR_PROTOCOLS | {"/echo/1.0.0", "/perf/1.0.0", KAD} <= set(seen["protocols"]), f"protocols {seen}")
        expect("lotus-p2p" in seen["agent_version"] and seen["signed_record"], f"{seen}")
        expect(seen["observed_addr"].startswith("/ip4/127.0.0.1/tcp/"), f"observed {seen}")
        daemon.wait_event("peer:connect", peer=js.peer, direction="inbound", muxer=MUXER_IDS[self.muxer])
        daemon.wait_for("peer:update with the protocols of js", lambda lines: any(
            line.get("event") == "peer:update" and line["peer"] == js.peer
            and JS_PROTOCOLS <= set(line.get("protocols", [])) for line in lines))

    def ping(self):
        daemon, js = self.connected()
        js.do("ping", peer=daemon.peer, count=5)

    def echo_mib(self):
        daemon, js = self.connected()
        js.do_all("echo", 1, peer=daemon.peer, bytes=1 << 20)

    def echo_streams(self):
        daemon, js = self.connected(streams_max=64)
        js.do_all("echo", 1000, peer=daemon.peer, streams=1000, parallel=16)

    def messages(self, count):
        daemon, js = self.connected()
        js.do_all("send", count, peer=daemon.peer, count=count, message={"protocol": "my-protocol"})
        daemon.wait_for(f"{count} messages", lambda lines: sum(line.get("event") == "message" for line in lines) >= count)
        ids = {line["message"]["messageId"] for line in daemon.events("message")}
        expect(len(ids) == count, f"{len(ids)} different ids")
        expect(len(daemon.events("peer:connect")) == 1, "more than one connection")
        expect(daemon.events("message")[0]["message"]["type"] == "data-message", f"{daemon.events('message')[0]}")

    def sizes(self):
        """100,000 bytes are accepted, one more gets the stream reset, and the connection lives on."""
        daemon, js = self.connected()
        js.do_all("send", 1, peer=daemon.peer, size=100_000, message={"type": "largest"})
        line = daemon.wait_for("the largest message", lambda lines: next(
            (x for x in lines if x.get("event") == "message" and x["message"]["type"] == "largest"), None))
        expect(line["bytes"] == 100_000, f"{line['bytes']} bytes")
        js.do("send", peer=daemon.peer, size=100_001, message={"type": "too-large"})
        js.do("send", peer=daemon.peer, text="{ not JSON")
        js.do("send", peer=daemon.peer, text="{}")
        js.do_all("send", 1, peer=daemon.peer, message={"type": "after"})
        daemon.wait_for("the message after", lambda lines: any(
            x.get("event") == "message" and x["message"]["type"] == "after" for x in lines))
        types = [x["message"].get("type") for x in daemon.events("message")]
        expect(types == ["largest", "after"], f"messages {types}")
        expect(not daemon.events("peer:disconnect"), "the connection ended")

    def wrong_peer(self):
        daemon, js = self.connected()
        answer = js.ask("dial", addr=daemon.addr.replace(daemon.peer, OTHER_PEER))
        expect(not answer["ok"], f"{answer}")
        js.do("ping", peer=daemon.peer)

    def reset(self):
        daemon, js = self.connected()
        for _ in range(20):
            js.do("abort", peer=daemon.peer)
        js.do_all("echo", 1, peer=daemon.peer, bytes=100_000)
        expect(not daemon.events("peer:disconnect"), "the connection ended")

    def unknown(self):
        daemon, js = self.connected()
        answer = js.ask("open", peer=daemon.peer, protocol="/nobody/has/this/1.0.0")
        # js 1.x and mplex learn of a refusal only with the first read; then the exchange has to fail.
        if answer["ok"]:
            answer = js.do("echo", peer=daemon.peer, protocol="/nobody/has/this/1.0.0")
            expect(answer["failed"] == 1, f"{answer}")
        js.do_all("echo", 1, peer=daemon.peer, bytes=1000)

    def goes(self):
        daemon, js = self.connected()
        js.do("hangup", peer=daemon.peer)
        daemon.wait_event("peer:disconnect", peer=js.peer)
        start = len(daemon.lines)
        js.do("dial", addr=daemon.addr)
        daemon.wait_event("peer:connect", start=start, peer=js.peer)
        js.do("ping", peer=daemon.peer)
        start = len(daemon.lines)
        js.kill()
        daemon.wait_event("peer:disconnect", start=start, peer=js.peer)


NAMES = [("identify both ways", Listen.identify), ("js pings us", Listen.ping), ("echo of 1 MiB", Listen.echo_mib),
         ("echo of 1,000 streams", Listen.echo_streams), ("200 messages", lambda case: case.messages(200)),
         ("1,000 messages", lambda case: case.messages(1000)),
         ("messages too large or not JSON", Listen.sizes), ("js expects another peer id", Listen.wrong_peer),
         ("js resets streams", Listen.reset), ("a protocol that we do not have", Listen.unknown),
         ("js hangs up, comes back and dies", Listen.goes)]


def cases(context):
    for line, muxer in [("js1", "yamux"), ("js1", "mplex"), ("js3", "yamux")]:
        for name, run in NAMES:
            case = Listen(context, line, muxer)
            yield f"{line} dials us, {muxer}: {name}", (line,), lambda case=case, run=run: run(case)
