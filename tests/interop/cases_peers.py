# SPDX-License-Identifier: MIT
"""The js peers among themselves: a case with our node is worth something only if these pass."""
from peers import Peer, expect

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


def basics(dialer, listener):
    dialed = dialer.do("dial", addr=listener.addr)
    expect(dialed["peer"] == listener.peer, f"dialed {dialed}")
    seen = dialer.do("identify", peer=listener.peer)
    expect("/lotus/message/1.0.0" in seen["protocols"], f"protocols {seen}")
    dialer.do("ping", peer=listener.peer)
    dialer.do_all("echo", 1, peer=listener.peer, bytes=1 << 20)
    dialer.do_all("echo", 1000, peer=listener.peer, streams=1000, parallel=16)
    reset = dialer.do("echo", peer=listener.peer, protocol="/test/reset/1.0.0")
    expect(reset["failed"] == 1, f"reset: {reset}")
    unknown = dialer.ask("open", peer=listener.peer, protocol="/nobody/has/this")
    expect(not unknown["ok"], f"unknown protocol: {unknown}")


def lotus_trap(dialer, listener):
    """The receiver never closes: exactly 32 of 40 messages arrive between two such nodes."""
    dialer.do("send", peer=listener.peer, count=40)
    listener.wait_for("32 messages", lambda lines: sum(line.get("event") == "message" for line in lines) >= 32)
    dialer.do("ping", peer=listener.peer)
    expect(len(listener.message_ids()) == 32, f"{len(listener.message_ids())} messages arrived")


def kad(dialer, listener, key, options):
    dialer.do("dial", addr=listener.addr)
    put = dialer.do("kad.put", key=key, value="value")
    expect(put["answers"] > 0, f"put: {put}")
    dialer.do("kad.provide", cid=CID)
    other = Peer(dialer.name, **{**options, "kad": "client"})
    try:
        other.do("dial", addr=listener.addr)
        got = other.do("kad.get", key=key)
        expect([v["value"] for v in got["values"]][:1] == ["value"], f"get: {got}")
        found = other.do("kad.findprovs", cid=CID)
        expect(dialer.peer in [p["peer"] for p in found["providers"]], f"providers: {found}")
    finally:
        other.kill()


def cases(context):
    pairs = [("js1", "js1", "yamux", "lotus"), ("js1", "js1", "mplex", "lotus"), ("js3", "js3", "yamux", "lotus"),
             ("js3", "js3", "yamux", "today"), ("js1", "js3", "yamux", "lotus"), ("js3", "js1", "yamux", "lotus")]
    for one, two, muxer, kad_line in pairs:
        def pair(one=one, two=two, muxer=muxer, kad_line=kad_line):
            options = {"muxers": [muxer], "kad": "server", "kad_line": kad_line, "streams_max": 64}
            dialer, listener = context.peer(one, **options), context.peer(two, **options)
            basics(dialer, listener)
            if muxer == "yamux":  # with mplex such a flood makes js close the whole connection
                lotus_trap(dialer, listener)
            kad(dialer, listener, "/test/one" if kad_line == "today" else "resource:session:one", options)
        yield f"{one} and {two}, {muxer}, kad {kad_line}: the peers work with each other", (one, two), pair
