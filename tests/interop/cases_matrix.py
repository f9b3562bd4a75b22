# SPDX-License-Identifier: MIT
"""The matrix: every line of peers x who dials x what carries x security x muxer x key type, wherever the other side has it. Each
cell does identify, ping, an echo of 1 MiB that is compared, and the refusal of a wrong peer id."""
from certs import certs
from cases_dial import MUXER_IDS, OTHER_PEER
from peers import Peer, expect, lp2p

SECURITY_IDS = {"noise": "/noise", "tls": "/tls/1.0.0"}
CARRIERS = {"tcp": "", "ws": "/ws", "wss": "/tls/ws"}
KEYS = ("ed25519", "secp256k1", "ecdsa", "rsa")
# What a line does not have: go-libp2p has dropped mplex; js-libp2p has no peer ids of ECDSA keys.
ABSENT = {("go", "mplex"), ("js1", "ecdsa"), ("js3", "ecdsa")}
LINES = ("js1", "js3", "go", "rust")


class Shared:
    """Peers that serve several cells, one after the other; a cell of another kind ends them. One that died is started anew."""

    def __init__(self, context):
        self.context, self.kind, self.peers = context, None, {}

    def get(self, kind, name, **options):
        if kind != self.kind:
            self.end()
            self.kind = kind
        peer = self.peers.get(name)
        if peer is None or not peer.alive():
            peer = self.peers[name] = Peer(kind[0], **options)
        self.context.watch(peer)
        return peer

    def end(self):
        for peer in self.peers.values():
            peer.kill()
        self.peers = {}


class Cell:
    def __init__(self, context, shared, line, carrier, security, muxer, key):
        self.context, self.shared, self.line = context, shared, line
        self.carrier, self.security, self.muxer, self.key = carrier, security, muxer, key

    def rust_security(self):
        return self.security if self.line == "rust" else None

    def ours(self):
        return ("--security", self.security, "--muxers", self.muxer, "--key-type", self.key)

    def theirs(self, **options):
        muxers = ["yamux"] if (self.line, "mplex") in ABSENT else ["yamux", "mplex"]
        security = [self.security] if self.line == "rust" else ["noise", "tls"]  # rust-libp2p has no list of both
        return {"security": security, "muxers": muxers, "key_type": self.key, "websocket": True, "trusting": True,
                **options}

    def listening_addr(self, peer):
        """js 1.x tells a secure WebSocket address as a plain one."""
        suffix = CARRIERS[self.carrier]
        for addr in peer.addrs:
            base, _, ident = addr.partition("/p2p/")
            if self.line == "js1" and self.carrier == "wss":
                base = base.replace("/ws", "/tls/ws")
            base = base.replace("/wss", "/tls/ws")
            if "/127.0.0.1/" in base and base.split("/tcp/")[1].partition("/")[2] == suffix.lstrip("/"):
                return base, ident
        expect(False, f"{peer.name} has no {self.carrier} address: {peer.addrs}")
        return None

    def we_dial(self):
        kind = (self.line, "listens", self.key)
        listen = ["/ip4/127.0.0.1/tcp/0" + CARRIERS[self.carrier]]
        peer = self.shared.get(kind, (self.carrier, self.rust_security()), **self.theirs(listen=listen))
        base, ident = self.listening_addr(peer)
        addr, ours = f"{base}/p2p/{ident}", [*self.ours()]
        got = lp2p(self.context.build, "identify", addr, *ours)
        expect(got["peer"] == peer.peer, f"peer {got}")
        expect(got["security"] == SECURITY_IDS[self.security] and got["muxer"] == MUXER_IDS[self.muxer], f"agreed {got}")
        expect("/echo/1.0.0" in got["protocols"], f"protocols {got}")
        expect(lp2p(self.context.build, "ping", addr, "-n", 1, *ours)["received"] == 1, "ping")
        echo = lp2p(self.context.build, "echo", addr, "--bytes", 1 << 20, "--streams", 1, *ours)
        expect(echo["streams_ok"] == 1 and echo["bytes_total"] == 1 << 20, f"echo {echo}")
        wrong = lp2p(self.context.build, "ping", f"{base}/p2p/{OTHER_PEER}", "-n", 1, *ours, code=1)
        expect(wrong["code"] == "EWRONGPEER" and wrong["stage"] == "security", f"wrong peer id: {wrong}")

    def we_listen(self):
        daemon = self.context.daemon("--serve", "echo", *self.ours(), "--tls-cert", certs().cert, "--tls-key", certs().key,
                                     listen="/ip4/127.0.0.1/tcp/0" + CARRIERS[self.carrier])
        kind = (self.line, "dials", self.key)
        peer = self.shared.get(kind, self.rust_security(), **self.theirs(listen=[]))
        wrong = peer.ask("dial", addr=daemon.addr.split("/p2p/")[0] + "/p2p/" + OTHER_PEER)
        expect(not wrong["ok"], f"a wrong peer id was accepted: {wrong}")
        dialed = peer.do("dial", addr=daemon.addr)
        expect(dialed["peer"] == daemon.peer, f"dialed {dialed}")
        seen = peer.do("identify", peer=daemon.peer)
        expect("/echo/1.0.0" in seen["protocols"] and "lotus-p2p" in seen["agent_version"], f"identify {seen}")
        peer.do("ping", peer=daemon.peer)
        peer.do_all("echo", 1, peer=daemon.peer, bytes=1 << 20)
        up = daemon.wait_event("peer:connect", peer=peer.peer, direction="inbound")
        expect(up["security"] == SECURITY_IDS[self.security] and up["muxer"] == MUXER_IDS[self.muxer], f"agreed {up}")


def combinations(line):
    for key in KEYS:
        for carrier in CARRIERS:
            for security in SECURITY_IDS:
                for muxer in ("yamux", "mplex"):
                    if (line, muxer) not in ABSENT and (line, key) not in ABSENT:
                        yield carrier, security, muxer, key


def cases(context):
    shared = Shared(context)
    for line in LINES:
        for who, run in (("we dial", Cell.we_dial), ("dials us", Cell.we_listen)):
            for carrier, security, muxer, key in combinations(line):
                cell = Cell(context, shared, line, carrier, security, muxer, key)
                pair = f"we dial {line}" if who == "we dial" else f"{line} dials us"
                yield (f"matrix: {pair}, {carrier}, {security}, {muxer}, {key}", (line,),
                       lambda cell=cell, run=run: run(cell))
    context.at_end(shared.end)
