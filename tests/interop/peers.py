# SPDX-License-Identifier: MIT
"""The two sides of a case: a peer of another implementation (Peer) and our own programs (Daemon for lp2pd, lp2p() for the tool)."""
import json
import time
from pathlib import Path

from certs import certs
from proc import DEADLINE_S, Failed, Process, expect
from toolchains import argv, why_not

KAD = "/lotus/kad/1.0.0"
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


def program(build, name):
    """Where `name` is: in the build folder itself (tools/build links it there) or where meson puts it."""
    return next((p for p in (Path(build) / name, Path(build) / "tools" / name) if p.exists()), Path(build) / name)


def completed(line, options):
    """The options with what this line needs beyond what the case asked for."""
    secure = any("/tls/ws" in addr or "/wss" in addr for addr in options.get("listen", []))
    if line.startswith("js"):
        options = {"inbound_per_second": 1000, **options}  # the stock 5 would make quick cases fail
        return {**options, "tls_cert": str(certs().cert), "tls_key": str(certs().key)} if secure else options
    if options.get("listen") == []:
        options = {**options, "dial_only": True}
    if not options.get("websocket"):
        return options
    if line == "go":
        return {**options, "tls_cert": str(certs().cert), "tls_key": str(certs().key), "tls_roots": str(certs().ca)}
    if options.get("key_type") == "rsa":
        options = {**options, "rsa_key": str(certs().rsa_key())}
    return {**options, "tls_cert_der": str(certs().cert_der), "tls_key_der": str(certs().key_der),
            "tls_roots_der": str(certs().ca_der)}


class Peer(Process):
    """A node of another implementation (`line`: js1, js3, go, rust) that is driven by commands; see README.md. `enter` is what stands
    before its command."""

    def __init__(self, line, enter=(), **options):
        self.line = line
        env = {"NODE_EXTRA_CA_CERTS": str(certs().ca)} if options.pop("trusting", False) and line.startswith("js") else None
        super().__init__(line, [*enter, *argv(line), json.dumps(completed(line, options))], env=env)
        self.next_id = 0
        ready = self.wait_event("ready")
        self.peer = ready["peer"]
        self.addrs = ready["addrs"]
        self.addr = self.addrs[0] if self.addrs else None

    def ask(self, cmd, deadline_s=None, **arguments):
        """The whole answer, good or bad."""
        self.next_id += 1
        ident = self.next_id
        self.write(json.dumps({"id": ident, "cmd": cmd, **arguments}) + "\n")
        return self.wait_for(f"answer to {cmd}", lambda lines: next(
            (line for line in reversed(lines) if line.get("id") == ident), None), deadline_s)

    def do(self, cmd, deadline_s=None, **arguments):
        """The answer of a command that has to succeed."""
        answer = self.ask(cmd, deadline_s, **arguments)
        expect(answer["ok"], f"{self.name} {cmd}: {answer.get('error')}")
        return answer

    def do_all(self, cmd, total, **arguments):
        """A command that runs `total` jobs (echo, send), all of which have to succeed."""
        answer = self.do(cmd, 4 * DEADLINE_S, **arguments)
        expect(answer["done"] == total and answer["failed"] == 0, f"{self.name} {cmd}: {answer}")

    def wait_until(self, what, look, deadline_s=None):
        """Asks until `look()` is true; each question to the peer is a round trip, and in between it is given time."""
        end = time.monotonic() + (deadline_s or DEADLINE_S)
        while not look():
            expect(time.monotonic() < end, f"{self.name}: no {what} in time; {self.tail()}")
            time.sleep(0.05)

    def message_ids(self, start=0):
        return [line["message"].get("messageId") for line in self.events("message", start)]


class Daemon(Process):
    """lp2pd with a throw-away identity on loopback. `enter` is what stands before its command."""

    def __init__(self, build, *args, listen=LOOPBACK, enter=()):
        listening = ["--listen", listen] if listen else []
        super().__init__("lp2pd", [*enter, program(build, "lp2pd"), "--json", "--ephemeral", *listening, *args])
        if listen:
            line = self.wait_event("listening")
            self.addr, self.peer = line["address"], line["peer"]
        self.peer = self.wait_event("ready")["peer"]

    def finish(self):
        """SIGTERM, a clean end within 5 s (longer in slow lanes), and no complaint of a sanitizer."""
        code = self.stop(max(5.0, DEADLINE_S / 6))
        expect(not self.complaint(), f"lp2pd: {self.complaint()}")
        expect(code == 0, f"lp2pd: exit code {code} after SIGTERM; {self.tail()}")


def lp2p(build, *args, code=0, deadline_s=None, enter=()):
    """Runs one lp2p command with --json; returns its last line. `code` is the exit code that it must end with."""
    tool = Process("lp2p " + " ".join(str(a) for a in args[:2]), [*enter, program(build, "lp2p"), *args, "--json"])
    try:
        tool.process.stdin.close()
        got = tool.wait_exit(deadline_s or 2 * DEADLINE_S)
        expect(not tool.complaint(), f"{tool.name}: {tool.complaint()}")
        expect(got == code, f"{tool.name}: exit code {got}, expected {code}; {tool.tail()}")
        bad = [line for line in tool.lines if line.get("event") == "not-json"]
        expect(not bad, f"{tool.name}: not JSON on standard output: {bad[:1]}")
        expect(tool.lines, f"{tool.name}: printed nothing; {tool.tail()}")
        last = tool.lines[-1]
        kind = "result" if code == 0 else "error"
        expect(last.get("event") == kind, f"{tool.name}: the last line is no {kind}: {last}")
        return last
    finally:
        tool.kill()


__all__ = ["Daemon", "KAD", "LOOPBACK", "Failed", "Peer", "expect", "lp2p", "program", "why_not"]
