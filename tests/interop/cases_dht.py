# SPDX-License-Identifier: MIT
"""The DHT: js peers meet through a node of ours, and we meet through a js node."""
import json

from peers import KAD, LOOPBACK, expect, lp2p

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


class Dht:
    def __init__(self, context, line, kad_line):
        self.context, self.line, self.kad_line = context, line, kad_line

    def js(self, mode, **options):
        return self.context.peer(self.line, kad=mode, kad_line=self.kad_line, **options)

    def key(self, name):
        return f"resource:session:{name}"

    def lp2p(self, *args, **options):
        return lp2p(self.context.build, *args, **options)

    def daemon(self, *args):
        return self.context.daemon("--dht", "server", *args)

    def in_table(self, js, *nodes):
        """Waits until js has these nodes in its routing table."""
        def look():
            return js.do("kad.table")["size"] >= len(nodes)
        js.wait_until(f"{len(nodes)} peers in its routing table", look)

    def value_through_us(self):
        daemon = self.daemon()
        one, two = self.js("server"), self.js("client")
        for js in (one, two):
            js.do("dial", addr=daemon.addr)
            self.in_table(js, daemon)
        put = one.do("kad.put", key=self.key("one"), value='{"from":"js"}')
        expect(put["answers"] >= 1, f"put: {put}")
        got = two.do("kad.get", key=self.key("one"))
        expect([v["value"] for v in got["values"]][:1] == ['{"from":"js"}'], f"get: {got}")
        ours = self.lp2p("dht", "get", self.key("one"), "--peer", daemon.addr)
        expect(ours["value"] == '{"from":"js"}', f"lp2p dht get: {ours}")
        stored = self.lp2p("dht", "put", self.key("two"), "from lp2p", "--peer", daemon.addr)
        expect(stored["stored"] >= 1, f"{stored}")
        got = two.do("kad.get", key=self.key("two"))
        expect([v["value"] for v in got["values"]][:1] == ["from lp2p"], f"get: {got}")
        nothing = self.lp2p("dht", "get", self.key("nobody"), "--peer", daemon.addr, code=1)
        expect(nothing["code"] == "ENOTFOUND", f"{nothing}")

    def provider_through_us(self):
        daemon = self.daemon()
        one, two = self.js("server"), self.js("client")
        for js in (one, two):
            js.do("dial", addr=daemon.addr)
            self.in_table(js, daemon)
        one.do("kad.provide", cid=CID)
        self.until_provider(two, one.peer)
        ours = self.lp2p("dht", "findprovs", CID, "--peer", daemon.addr)
        found = {p["peer"]: p["addrs"] for p in ours["providers"]}
        expect(one.addr.split("/p2p/")[0] in [a.split("/p2p/")[0] for a in found.get(one.peer, [])], f"{ours}")

    def until_provider(self, js, peer):
        """ADD_PROVIDER has no reply, so it may come a moment after provide() has ended."""
        js.wait_until(f"provider {peer}", lambda: peer in [
            p["peer"] for p in js.do("kad.findprovs", cid=CID)["providers"]])

    def namespaces(self):
        """Today's js kad takes only keys of a namespace that it knows a validator for, and so do we for keys that have one: a value
        under a foreign namespace is refused on both sides, and the stream of the put is reset."""
        daemon = self.daemon()
        js = self.js("server")
        js.do("dial", addr=daemon.addr)
        self.in_table(js, daemon)
        put = js.do("kad.put", key="/test/one", value="from js")
        expect(put["answers"] <= 1 and put["errors"], f"put: {put}")
        ours = self.lp2p("dht", "put", "/test/two", "from lp2p", "--peer", daemon.addr, code=1)
        expect(ours["code"] == "EBADRECORD", f"{ours}")
        nothing = self.lp2p("dht", "get", "/test/one", "--peer", daemon.addr, code=1)
        expect(nothing["code"] == "ENOTFOUND", f"{nothing}")

    def peer_through_us(self):
        daemon = self.daemon()
        one, two = self.js("server"), self.js("client")
        for js in (one, two):
            js.do("dial", addr=daemon.addr)
            self.in_table(js, daemon)
        daemon.wait_for("js in our routing table", lambda lines: any(
            x.get("event") == "peer:update" and x["peer"] == one.peer and KAD in x.get("protocols", []) for x in lines))
        two.wait_until("findpeer of the other js", lambda: one.peer in [
            p["peer"] for p in two.do("kad.findpeer", peer=one.peer)["peers"]])
        ours = self.lp2p("dht", "findpeer", one.peer, "--peer", daemon.addr)
        expect(one.addr.split("/p2p/")[0] in [a.split("/p2p/")[0] for a in ours["addrs"]], f"{ours}")
        closest = self.lp2p("dht", "closest", one.peer, "--peer", daemon.addr)
        expect(closest["peers"][0]["peer"] == one.peer, f"{closest}")
        expect(daemon.peer in [p["peer"] for p in closest["peers"]], f"{closest}")
        expect(two.peer not in [p["peer"] for p in closest["peers"]], f"a DHT client is in a routing table: {closest}")

    def hub(self):
        """A js server and our daemon, a DHT server too, each in the other's routing table."""
        hub = self.js("server")
        daemon = self.daemon("--bootstrap", hub.addr)
        daemon.wait_event("peer:connect", peer=hub.peer)
        self.in_table(hub, daemon)
        return hub, daemon

    def value_through_js(self):
        hub, _ = self.hub()
        stored = self.lp2p("dht", "put", self.key("one"), "from lp2p", "--peer", hub.addr)
        expect(stored["stored"] >= 1, f"{stored}")
        got = self.lp2p("dht", "get", self.key("one"), "--peer", hub.addr)
        expect(got["value"] == "from lp2p", f"{got}")
        client = self.js("client", listen=[])
        client.do("dial", addr=hub.addr)
        self.in_table(client, hub)
        seen = client.do("kad.get", key=self.key("one"))
        expect([v["value"] for v in seen["values"]][:1] == ["from lp2p"], f"{seen}")
        client.do("kad.put", key=self.key("two"), value="from js")
        got = self.lp2p("dht", "get", self.key("two"), "--peer", hub.addr)
        expect(got["value"] == "from js", f"{got}")

    def provider_through_js(self):
        hub, _ = self.hub()
        stored = self.lp2p("dht", "provide", CID, "--listen", LOOPBACK, "--peer", hub.addr)
        hub.wait_until("our provider record", lambda: stored["provider"] in [
            p["peer"] for p in hub.do("kad.findprovs", cid=CID)["providers"]])
        ours = self.lp2p("dht", "findprovs", CID, "--peer", hub.addr)
        expect(stored["provider"] in [p["peer"] for p in ours["providers"]], f"{ours}")

    def peer_through_js(self):
        hub, daemon = self.hub()
        found = self.lp2p("dht", "findpeer", daemon.peer, "--peer", hub.addr)
        expect(daemon.addr.split("/p2p/")[0] in [a.split("/p2p/")[0] for a in found["addrs"]], f"{found}")
        closest = self.lp2p("dht", "closest", daemon.peer, "--peer", hub.addr)
        expect(closest["peers"][0]["peer"] == daemon.peer, f"{closest}")

    def resource(self, through_js):
        """announce and discover; a Lotus node finds the same object under the key resource:TYPE:ID."""
        if through_js:
            hub, _ = self.hub()
        else:
            hub = self.daemon()
        said = self.lp2p("announce", "session", "session-123", '{"open":true}', "--peer", hub.addr, "--ttl", 3600)
        expect(said["stored"] >= 1 and said["key"] == "resource:session:session-123", f"{said}")
        found = self.lp2p("discover", "session", "session-123", "--peer", hub.addr)["resource"]
        expect(found["data"] == {"open": True} and found["creatorPeerId"], f"{found}")
        expect(found["expiresAt"] - found["createdAt"] == 3_600_000, f"{found}")
        client = self.js("client", listen=[])
        client.do("dial", addr=hub.addr)
        self.in_table(client, hub)
        seen = client.do("kad.get", key="resource:session:session-123")
        expect(seen["values"] and json.loads(seen["values"][0]["value"]) == found, f"{seen}")
        nothing = self.lp2p("discover", "session", "nobody", "--peer", hub.addr, code=1)
        expect(nothing["code"] == "ENOTFOUND", f"{nothing}")


NAMES = [("put and get through our node", Dht.value_through_us),
         ("provide and find providers through our node", Dht.provider_through_us),
         ("find a peer through our node", Dht.peer_through_us),
         ("put and get through a js node", Dht.value_through_js),
         ("provide and find providers through a js node", Dht.provider_through_js),
         ("find a peer through a js node", Dht.peer_through_js)]
RESOURCES = [("announce and discover through our node", lambda case: case.resource(False)),
             ("announce and discover through a js node", lambda case: case.resource(True))]


def cases(context):
    today = [(name, run) for name, run in NAMES if not name.startswith("put")] + [("foreign namespaces", Dht.namespaces)]
    for line, kad_line in [("js1", "lotus"), ("js3", "lotus"), ("js3", "today")]:
        names = today if kad_line == "today" else NAMES + RESOURCES
        for name, run in names:
            case = Dht(context, line, kad_line)
            yield f"DHT, {line}, kad {kad_line}: {name}", (line,), lambda case=case, run=run: run(case)
