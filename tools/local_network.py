# SPDX-License-Identifier: MIT
"""local_network.py BUILD [--once]: a bootstrap node and two peers as processes of this terminal; see tools/run."""
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

DEADLINE_S = 30.0
started = []
output = threading.Lock()


class Stop(Exception):
    """The network cannot go on; the text says why."""


class Node:
    """One lp2pd; its lines are shown behind its name and kept, so that they can be waited for."""

    def __init__(self, program, name, *options):
        self.name, self.lines, self.changed = name, [], threading.Condition()
        say(name, "$ " + shlex.join([program.name, *options]))
        self.process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        started.append(self)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
            say(self.name, self.lines[-1])
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, *words):
        """The first line that has all these words."""
        end = time.monotonic() + DEADLINE_S
        with self.changed:
            while True:
                found = next((line for line in self.lines if all(word in line for word in words)), None)
                if found:
                    return found
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.reader.is_alive()):
                    raise Stop(f"{self.name} did not print a line with {' '.join(words)!r}")
                self.changed.wait(min(left, 1.0))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()

    def ended(self):
        """None when it ended well within the time that it has for that, else what went wrong."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"{self.name} had to be killed"
        return f"{self.name} ended with code {code}" if code else None


def say(name, text):
    with output:
        print(f"{name:>9} | {text}", flush=True)


def tool(program, *arguments):
    """Runs one lp2p command, shown as one would type it; returns what it printed."""
    say("lp2p", "$ " + shlex.join(["lp2p", *arguments]))
    try:
        done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=DEADLINE_S, check=False)
    except subprocess.TimeoutExpired as err:
        raise Stop(f"lp2p {arguments[0]} did not end within {DEADLINE_S:.0f} s") from err
    for line in done.stdout.splitlines():
        say("lp2p", line)
    if done.returncode != 0:
        raise Stop(f"lp2p {arguments[0]} ended with code {done.returncode}")
    return done.stdout


def address(node):
    return node.wait_for("listening on ").split("listening on ")[1].split()[0]


def peer_id(addr):
    return addr.rsplit("/p2p/", 1)[1]


def one_round(build):
    daemon, lp2p = build / "lp2pd", build / "lp2p"
    listen = ["--ephemeral", "--listen", "/ip4/127.0.0.1/tcp/0", "--dht", "server"]
    say("network", "a bootstrap node and two peers that know only its address")
    bootstrap = Node(daemon, "bootstrap", *listen)
    where = address(bootstrap)
    peers = [Node(daemon, name, *listen, "--serve", "echo,perf", "--bootstrap", where) for name in ("alice", "bob")]
    addresses = [address(node) for node in peers]
    for addr in addresses:
        bootstrap.wait_for(peer_id(addr))
    say("network", "both peers are connected to the bootstrap node")

    say("network", "a resource is announced at alice and found by asking bob")
    tool(lp2p, "announce", "session", "session-1", '{"topic":"hello"}', "--peer", addresses[0], "--ttl", "600")
    found = tool(lp2p, "discover", "session", "session-1", "--peer", addresses[1])
    if "hello" not in found:
        raise Stop("the resource found is not the one announced")

    say("network", "messages to alice and to bob")
    for node, addr in zip(peers, addresses):
        text = f"hello-{node.name}"
        tool(lp2p, "send", addr, "--protocol", "greeting", "--type", "data-message", "--payload", f'{{"text":"{text}"}}')
        node.wait_for(text)
    tool(lp2p, "ping", addresses[1], "-n", "3")
    say("network", "the addresses, for lp2p in another terminal:")
    for name, addr in zip(("bootstrap", "alice", "bob"), (where, *addresses)):
        say(name, addr)


def main():
    def end(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, end)
    code = 0
    try:
        one_round(Path(sys.argv[1]))
        if "--once" not in sys.argv:
            say("network", "up; Ctrl-C ends it")
            while all(node.process.poll() is None for node in started):
                time.sleep(0.5)
            raise Stop("a node has ended by itself")
    except KeyboardInterrupt:
        pass
    except Stop as err:
        say("network", f"failed: {err}")
        code = 1
    for node in started:
        node.stop()
    for problem in filter(None, [node.ended() for node in started]):
        say("network", problem)
        code = 1
    if code == 0:
        say("network", "all nodes ended")
    return code


if __name__ == "__main__":
    sys.exit(main())
