# SPDX-License-Identifier: MIT
"""A local network for tests: two network namespaces joined by a veth pair. Needs root and iproute2. Each run removes
its own, and what a killed one has left."""
import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

PATIENCE_S = 60


def ip(*args):
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True, timeout=PATIENCE_S)


def remove_stale():
    """What a run left behind that was killed: the names tell whose they were."""
    folder = Path("/run/netns")
    for space in folder.iterdir() if folder.exists() else []:
        found = re.fullmatch(r"lp2p-(\d+)-.*", space.name)
        if found and not Path("/proc", found.group(1)).exists():
            subprocess.run(["ip", "netns", "del", space.name], check=False, capture_output=True)


class Lan:
    """`spaces` are the names of the namespaces, `ips` their addresses; `why_not` says why there is no such network, or is None."""

    numbers = itertools.count(1)  # a process may have several

    def __init__(self):
        name = f"lp2p-{os.getpid()}-{next(Lan.numbers)}"
        self.spaces = [f"{name}-a", f"{name}-b"]
        self.ips = ["10.77.0.1", "10.77.0.2"]
        self.why_not = self._make()

    def _make(self):
        if os.geteuid() != 0 or shutil.which("ip") is None:
            return "needs root and iproute2"
        remove_stale()
        try:
            for space in self.spaces:
                ip("netns", "add", space)
            ip("-n", self.spaces[0], "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", self.spaces[1])
            for space, address in zip(self.spaces, self.ips):
                ip("-n", space, "addr", "add", f"{address}/24", "dev", "lan")
                ip("-n", space, "link", "set", "lan", "up")
                ip("-n", space, "link", "set", "lo", "up")
                ip("-n", space, "route", "add", "default", "dev", "lan")  # js sends to a group by the way to everywhere
        except subprocess.CalledProcessError as err:
            self.remove()
            return "no network namespaces here: " + err.stderr.strip()
        return None

    def enter(self, n):
        """What stands before a command that shall run in namespace n."""
        return ["ip", "netns", "exec", self.spaces[n]]

    def remove(self):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
