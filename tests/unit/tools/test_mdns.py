#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_mdns.py LP2PD: nodes find each other on a network without being told of each other; prints TAP.

Two network namespaces (../../lib/lan.py), an lp2pd in each. With --mdns they connect; without it nothing in them listens to the
group, though the group works there: that is shown by packets of the test's own.
"""
import ctypes
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))
from lan import Lan, ip  # noqa: E402 pylint: disable=wrong-import-position

LP2PD = sys.argv[1]
PATIENCE = 60
GROUP, PORT = "224.0.0.251", 5353
LAN = Lan()
SPACES, IPS = LAN.spaces, LAN.ips
SERVICE = b"\x04_p2p\x04_udp\x05local\x00"
SERVICES = b"\x09_services\x07_dns-sd\x04_udp\x05local\x00"


def leave(status):
    for process in Node.started:
        if process.poll() is None:
            process.kill()
    LAN.remove()
    sys.stdout.flush()
    os._exit(status)


class Node:
    """lp2pd in a namespace; its events, and its statistics by SIGUSR1."""

    started = []

    def __init__(self, n, *args):
        self.process = subprocess.Popen([*LAN.enter(n), LP2PD, "--ephemeral", "--listen", "/ip4/0.0.0.0/tcp/0", "--dht",
                                         "off", "--json", "--log-level", "debug", *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        Node.started.append(self.process)
        self.events, self.log = queue.Queue(), queue.Queue()
        for stream, target in ((self.process.stdout, self.events), (self.process.stderr, self.log)):
            threading.Thread(target=self.read, args=(stream, target), daemon=True).start()
        self.lines = []
        self.peer = self.wait_event(lambda e: e.get("event") == "ready")["peer"]

    @staticmethod
    def read(stream, target):
        for line in stream:
            target.put(line)
        target.put(None)

    def wait_event(self, what):
        end = time.monotonic() + PATIENCE
        while True:
            line = self.events.get(timeout=max(0.1, end - time.monotonic()))
            assert line is not None, "lp2pd ended: " + "".join(filter(None, self.log.queue))
            event = json.loads(line)
            if what(event):
                return event

    def wait_connected(self, peer):
        self.wait_event(lambda e: e.get("event") == "peer:connect" and e.get("peer") == peer)

    def stats(self):
        """The counters of mDNS, and how many peers are known."""
        self.process.send_signal(signal.SIGUSR1)
        end, known = time.monotonic() + PATIENCE, None
        while True:
            line = self.log.get(timeout=max(0.1, end - time.monotonic()))
            assert line is not None, "lp2pd ended"
            self.lines.append(line)
            if "known peers;" in line:
                known = int(line.split("known peers;")[0].split()[-1])
            if line.startswith("mdns: "):
                words = line[6:].replace(",", "").split()
                return dict(zip(words[1::2], map(int, words[::2])), known=known)

    def wait_stats(self, what):
        end = time.monotonic() + PATIENCE
        while True:
            stats = self.stats()
            if what(stats):
                return stats
            assert time.monotonic() < end, f"only {stats}"
            time.sleep(0.05)

    def hears_group(self):
        """True when the process has a socket on the port of mDNS."""
        ports = []
        inodes = {os.readlink(f"/proc/{self.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{self.process.pid}/fd")}
        for table in ("udp", "udp6"):
            with open(f"/proc/{self.process.pid}/net/{table}", encoding="ascii") as file:
                for words in map(str.split, list(file)[1:]):
                    if f"socket:[{words[9]}]" in inodes:
                        ports.append(int(words[1].split(":")[1], 16))
        return PORT in ports

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        assert self.process.returncode == 0


class Ear:
    """A socket of the test's own in a namespace, a member of the group; `port` 5353, or another as a legacy asker has."""

    def __init__(self, n, port=PORT):
        made = []
        thread = threading.Thread(target=self.make, args=(n, port, made))  # a thread may change its namespace, the test does not
        thread.start()
        thread.join()
        self.socket, = made

    @staticmethod
    def make(n, port, made):
        with open(f"/run/netns/{SPACES[n]}", encoding="ascii") as space:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(space.fileno(), 0x40000000) == 0, os.strerror(ctypes.get_errno())
        ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.bind(("", port))
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(IPS[n]))
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(IPS[n]))
        made.append(ear)

    def ask(self, number, name=SERVICE):
        self.socket.sendto(struct.pack(">6H", number, 0, 1, 0, 0, 0) + name + struct.pack(">2H", 12, 1), (GROUP, PORT))

    def wait(self, what):
        end = time.monotonic() + PATIENCE
        while True:
            self.socket.settimeout(max(0.1, end - time.monotonic()))
            packet, source = self.socket.recvfrom(9000)
            if what(packet, source):
                return packet


def flags(packet):
    return struct.unpack(">H", packet[2:4])[0]


def found():
    """Neither was told of the other; who ends is forgotten."""
    a, b = Node(0, "--mdns"), Node(1, "--mdns")
    a.wait_connected(b.peer)
    b.wait_connected(a.peer)
    for node in (a, b):
        stats = node.wait_stats(lambda s: s["queries"] >= 1 and s["answers"] >= 1 and s["packets"] >= 1 and s["peers"] >= 1)
        assert stats["invalid"] == 0 and stats["limited"] == 0, stats
    a.end()
    assert b.wait_stats(lambda s: s["gone"] == 1)["peers"] == 1
    b.end()


def asked():
    """What other implementations see of a node: the answer to all, to a legacy asker, and to who asks for services; the farewell."""
    node, ear, legacy = Node(0, "--mdns"), Ear(1), Ear(1, 0)
    for asker in (ear, legacy):
        asker.ask(0x1234)
        packet = asker.wait(lambda p, s: s == (IPS[0], PORT) and flags(p) == 0x8400)
        texts = [part for part in packet.split(b"dnsaddr=")[1:]]
        assert len(texts) == 1 and texts[0].startswith(f"/ip4/{IPS[0]}/tcp/".encode()), packet
        assert node.peer.encode() in texts[0] and b"127.0.0.1" not in packet, packet
        number, _, questions, answers, _, additionals = struct.unpack(">6H", packet[:12])
        if asker is legacy:
            assert (number, questions, answers, additionals) == (0x1234, 1, 1, 3), packet
        else:
            assert (number, questions, answers, additionals) == (0, 0, 1, 3), packet
    ear.ask(0, SERVICES)
    ear.wait(lambda p, s: s[0] == IPS[0] and flags(p) == 0x8400 and SERVICES in p and SERVICE in p[12 + len(SERVICES):])
    legacy.socket.sendto(b"garbage", (GROUP, PORT))
    node.wait_stats(lambda s: s["invalid"] == 1)
    node.end()
    head = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 0) + SERVICE + struct.pack(">2HI", 12, 1, 0)
    ear.wait(lambda p, s: s == (IPS[0], PORT) and p.startswith(head) and b"dnsaddr" not in p)  # the farewell


def late_ip6():
    """Without any IPv4 address, and the IPv6 ones come when both run already."""
    for space, address in zip(SPACES, IPS):
        ip("-n", space, "addr", "del", f"{address}/24", "dev", "lan")
    a, b = (Node(n, "--listen", "/ip6/::/tcp/0", "--mdns") for n in (0, 1))
    for n, space in enumerate(SPACES):
        ip("-n", space, "addr", "add", f"fd77::{n + 1}/64", "dev", "lan", "nodad")
    a.wait_connected(b.peer)
    b.wait_connected(a.peer)
    a.end()
    b.end()


def silent():
    """The negative control: without --mdns nobody listens, though what is sent arrives."""
    a, b = Node(0), Node(1)
    ears = [Ear(0), Ear(1)]
    for here, there in ((0, 1), (1, 0)):
        ears[here].ask(7)
        ears[there].wait(lambda p, s, here=here: s[0] == IPS[here] and p[:2] == b"\0\7")
    for node in (a, b):
        assert not node.hears_group()
        assert set(node.stats().values()) == {0}
    on = Node(0, "--mdns")  # the same question about a node that has it on
    assert on.hears_group()
    ears[1].wait(lambda p, s: s[0] == IPS[0] and p[:2] == b"\0\0" and flags(p) == 0)
    assert not b.hears_group() and b.stats()["packets"] == 0
    for node in (a, b, on):
        node.end()


TESTS = [silent, asked, found, late_ip6]  # the last one takes the addresses away


def main():
    signal.signal(signal.SIGTERM, lambda *_: leave(1))  # a runner that lost patience
    print(f"1..{len(TESTS)}")
    failed = 0
    why = LAN.why_not
    for number, test in enumerate(TESTS, 1):
        if why is not None:
            print(f"ok {number} - {test.__name__} # SKIP {why}", flush=True)
            continue
        try:
            test()
            print(f"ok {number} - {test.__name__}", flush=True)
        except Exception as err:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {test.__name__}")
            print("\n".join(f"# {line}" for line in f"{type(err).__name__}: {err}".splitlines()), flush=True)
    leave(1 if failed else 0)


if __name__ == "__main__":
    main()
