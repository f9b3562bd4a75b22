# SPDX-License-Identifier: MIT
"""mDNS with every line of peers, on a network of the test's own (../lib/lan.py): nobody is told of anybody."""
import functools
import sys
from pathlib import Path

from peers import expect, lp2p

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
from lan import Lan  # noqa: E402 pylint: disable=wrong-import-position

LINES = ("js1", "js3", "go", "rust")
ANY = "/ip4/0.0.0.0/tcp/0"
DISCOVERY_S = 45  # js asks every 10 s, go after 4, 10, 25


@functools.lru_cache(maxsize=None)
def lan(context):
    """One for each worker: cases side by side shall not find each other's peers. Made when the first case needs it, and removed
    with the run."""
    made = Lan()
    context.at_end(made.remove)
    return made


def dialable(addrs, network):
    """The addresses in the network of the test."""
    return [addr for addr in addrs if addr.startswith(network)]


class Mdns:
    def __init__(self, context, line):
        self.context, self.line = context, line

    def lan(self):
        return lan(self.context)

    def ours(self, *args):
        return self.context.daemon("--mdns", "--dht", "off", *args, listen=ANY, enter=self.lan().enter(0))

    def theirs(self):
        return self.context.peer(self.line, mdns=True, listen=[ANY], enter=self.lan().enter(1))

    def they_find_us(self, first):
        """We stay passive; the peer discovers us, dials the address that it was told, and pings."""
        passive = ("--min-connections", 0)
        daemon = self.ours(*passive) if first == "we" else None
        peer = self.theirs()
        daemon = daemon or self.ours(*passive)
        network = f"/ip4/{self.lan().ips[0]}/tcp/"
        found = peer.wait_for("discovery of our node", lambda lines: next(
            (x for x in lines if x.get("event") == "discovered" and x["peer"] == daemon.peer and dialable(x["addrs"], network)),
            None), DISCOVERY_S)
        bad = [addr for addr in found["addrs"] if not addr.endswith(f"/p2p/{daemon.peer}") or "/127.0.0.1/" in addr]
        expect(not bad, f"told were {found}")
        expect(not daemon.events("peer:connect"), "we dialed first")
        dialed = peer.do("dial", addr=dialable(found["addrs"], network)[0])
        expect(dialed["peer"] == daemon.peer, f"dialed {dialed}")
        peer.do("ping", peer=daemon.peer)
        daemon.wait_event("peer:connect", peer=peer.peer, direction="inbound")

    def we_find_them(self, first):
        """The peer is passive; we discover it, connect by ourselves, and ping."""
        daemon = self.ours() if first == "we" else None
        peer = self.theirs()
        daemon = daemon or self.ours()
        network = f"/ip4/{self.lan().ips[1]}/tcp/"
        found = daemon.wait_event("peer:discovery", DISCOVERY_S, peer=peer.peer)
        addrs = dialable(found["addrs"], network)
        expect(addrs and not any("/127.0.0.1/" in addr for addr in found["addrs"]), f"we were told {found}")
        daemon.wait_event("peer:connect", peer=peer.peer, direction="outbound")
        base = addrs[0].partition("/p2p/")[0]
        ping = lp2p(self.context.build, "ping", f"{base}/p2p/{peer.peer}", "-n", 1, enter=self.lan().enter(0))
        expect(ping["received"] == 1, f"ping {ping}")

    def they_leave(self):
        """What only mDNS told of a peer is void when the peer takes leave."""
        daemon, peer = self.ours("--min-connections", 0), self.theirs()
        found = daemon.wait_event("peer:discovery", DISCOVERY_S, peer=peer.peer)
        expect(found["addrs"], f"we were told {found}")
        start = len(daemon.lines)
        peer.do("mdns.stop")
        daemon.wait_event("peer:update", start=start, peer=peer.peer, addrs=[])


def cases(context):
    for line in LINES:
        case = Mdns(context, line)
        needs = (line, lambda: lan(context).why_not)
        for first in ("we", "they"):
            yield f"mdns: {line} finds us, {first} come first", needs, lambda c=case, f=first: c.they_find_us(f)
            yield f"mdns: we find {line}, {first} come first", needs, lambda c=case, f=first: c.we_find_them(f)
        if line == "go":  # the others say no farewell
            yield "mdns: go takes leave", needs, case.they_leave
