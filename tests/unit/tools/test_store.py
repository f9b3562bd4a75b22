#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_store.py LP2PD LP2P: the peers that lp2pd keeps on disk, as an operator meets them; prints TAP.

Killed at random moments while it writes (20 times; LP2P_KILLS=200 for the long run), lp2pd starts again each time and has
every peer whose writing it had acknowledged. Two nodes find each other again after a restart without any bootstrap node. A
directory has one user at a time.
"""
import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LP2PD, LP2P = sys.argv[1:3]
PATIENCE = 60
LINE = re.compile(r" store: (kept|loaded) (\w{40,})$")


class Node:
    """lp2pd with its standard error read by a thread; what it kept and what it loaded as sets of peer ids."""

    def __init__(self, folder, *args, listen="/ip4/127.0.0.1/tcp/0"):
        self.process = subprocess.Popen([LP2PD, "--data-dir", str(folder), "--listen", listen, "--json", "--log-level", "debug", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        self.kept, self.loaded, self.log, self.events = set(), set(), [], queue.Queue()
        self.is_loaded = threading.Event()
        self.threads = [threading.Thread(target=self.read_log), threading.Thread(target=self.read_events)]
        for thread in self.threads:
            thread.start()

    def read_log(self):
        for line in self.process.stderr:
            self.log.append(line)
            found = LINE.search(line)
            if found:
                (self.kept if found[1] == "kept" else self.loaded).add(found[2])
            elif "peers loaded" in line:
                self.is_loaded.set()
        self.is_loaded.set()

    def read_events(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))
        self.events.put(None)

    def wait_event(self, what):
        end = time.monotonic() + PATIENCE
        while True:
            event = self.events.get(timeout=max(0.1, end - time.monotonic()))
            assert event is not None, "lp2pd ended:\n" + "".join(self.log[-20:])
            if what(event):
                return event

    def address(self):
        return self.wait_event(lambda e: "/p2p/" in str(e.get("address", "")))["address"]

    def wait_kept(self, peer):
        end = time.monotonic() + PATIENCE
        while peer not in self.kept:
            assert time.monotonic() < end and self.process.poll() is None, f"{peer} was not kept:\n" + "".join(self.log[-20:])
            time.sleep(0.02)

    def wait_any(self):
        end = time.monotonic() + PATIENCE
        while not self.kept:
            assert time.monotonic() < end and self.process.poll() is None, "nobody was kept:\n" + "".join(self.log[-20:])
            time.sleep(0.02)

    def end(self, number):
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        for thread in self.threads:
            thread.join(PATIENCE)


def visit(address, stop):
    """New peers knock, one after the other; each tells an address of its own, so that it is worth keeping."""
    while not stop.is_set():
        subprocess.run([LP2P, "identify", address, "--listen", "/ip4/127.0.0.1/tcp/0", "--timeout", "30"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)


def killed():
    kills = int(os.environ.get("LP2P_KILLS", "20"))
    acknowledged, total, chance = set(), 0, random.Random(int(os.environ.get("LP2P_SEED", "1")))
    with tempfile.TemporaryDirectory() as base:
        folder = os.path.join(base, "0")
        for number in range(kills + 1):
            if len(acknowledged) > 2000:  # the store holds 4,096: before it has to let peers go, begin a new one
                total, acknowledged, folder = total + len(acknowledged), set(), os.path.join(base, str(number))
            node = Node(folder)
            address = node.address()
            assert node.is_loaded.wait(PATIENCE)
            lost = acknowledged - node.loaded
            assert not lost, f"start {number}: {len(lost)} of {len(acknowledged)} acknowledged peers are gone: {sorted(lost)[:3]}"
            stop = threading.Event()
            visitors = [threading.Thread(target=visit, args=(address, stop)) for _ in range(2)]
            for visitor in visitors:
                visitor.start()
            if number % 4 == 0:  # on a busy machine no peer might ever be kept
                node.wait_any()
            time.sleep(chance.uniform(0.05, 1.3))  # the moment is what varies, nothing waits for it
            stop.set()
            node.end(signal.SIGKILL)
            acknowledged |= node.kept
            for visitor in visitors:
                visitor.join()
        total += len(acknowledged)
        assert total >= kills // 4, f"only {total} peers were ever kept"
    print(f"# {kills} kills, {total} peers acknowledged, none lost")


HELD = []


def free_port():
    """A port that nobody else gets: its socket stays bound and never listens, and lp2pd, which sets SO_REUSEADDR, can beside it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    return held.getsockname()[1]


def reconnected():
    with tempfile.TemporaryDirectory() as folder:
        dirs = [Path(folder) / "a", Path(folder) / "b"]
        listen = [f"/ip4/127.0.0.1/tcp/{free_port()}" for _ in dirs]
        a = Node(dirs[0], listen=listen[0])
        address = a.address()
        peer_a = address.rsplit("/", 1)[1]
        b = Node(dirs[1], "--bootstrap", address, listen=listen[1])
        peer_b = b.address().rsplit("/", 1)[1]
        a.wait_kept(peer_b)
        b.wait_kept(peer_a)
        a.end(signal.SIGKILL)
        b.end(signal.SIGINT)
        # Neither is told of the other: b remembers where a answered.
        a, b = Node(dirs[0], listen=listen[0]), Node(dirs[1], listen=listen[1])
        b.wait_event(lambda e: e.get("event") == "peer:connect" and e.get("peer") == peer_a)
        a.end(signal.SIGINT)
        b.end(signal.SIGINT)


def one_user():
    with tempfile.TemporaryDirectory() as folder:
        first = Node(folder)
        first.address()
        second = subprocess.run([LP2PD, "--data-dir", folder, "--listen", "/ip4/127.0.0.1/tcp/0", "--json"], capture_output=True,
                                text=True, timeout=PATIENCE, check=False)
        last = json.loads(second.stdout.splitlines()[-1])
        assert second.returncode == 1 and last["code"] == "EEXIST" and folder in second.stdout and "another process" in second.stdout
        first.end(signal.SIGKILL)
        third = Node(folder)  # a killed process leaves no lock behind
        third.address()
        third.end(signal.SIGINT)
        assert third.process.returncode == 0


def damaged():
    """A file that is no database is put aside; the node starts without what was in it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peers").write_bytes(b"this is not a database" * 1000)
        node = Node(folder)
        node.address()
        node.end(signal.SIGINT)
        assert node.process.returncode == 0 and (Path(folder) / "peers.bad").exists()


TESTS = [one_user, damaged, reconnected, killed]


def main():
    print(f"1..{len(TESTS)}")
    failed = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}", flush=True)
        except Exception as err:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {test.__name__}")
            print("\n".join(f"# {line}" for line in f"{type(err).__name__}: {err}".splitlines()), flush=True)
    os._exit(1 if failed else 0)  # a reader of a node that was left behind must not hold up the end


if __name__ == "__main__":
    main()
