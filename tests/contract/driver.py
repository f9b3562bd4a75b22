# SPDX-License-Identifier: MIT
"""What the tests of both contracts (transport here, perf in bench/perf) share: TAP, processes, ports, and a redis server of their own."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INTEROP = Path(__file__).resolve().parent.parent / 'interop'
sys.path.insert(0, str(INTEROP))
from toolchains import find_node  # noqa: E402

LIMIT_S = int(60 * float(os.environ.get('LP2P_TIME_SCALE', '1')))
OTHER_PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'  # the key of an all-zero seed
NO_REDIS = next((f'{name} is not installed' for name in ('redis-server', 'redis-cli') if not shutil.which(name)), None)


def no_js(folder):
    """Why js peers cannot be run from this folder, or None."""
    return (None if (Path(folder) / 'node_modules/libp2p').exists() else 'the packages of the js peer are not installed') or \
        (None if find_node() else 'no Node 22 or newer')


class Cases:
    """Runs cases one by one, those whose names have the expression `only`, and prints TAP; a case that fails does not hide the others."""

    def __init__(self, only=''):
        self.count, self.failures, self.only = 0, 0, re.compile(only)

    def report(self, name, problem=None, skip=None):
        self.count += 1
        self.failures += problem is not None
        print(f'{"not ok" if problem else "ok"} {self.count} - {name}' + (f' # SKIP {skip}' if skip else ''), flush=True)
        if problem:
            print('# ' + str(problem).replace('\n', '\n# '), flush=True)

    def run(self, name, test, missing=None):
        """`missing`: why it is skipped, or None."""
        if not self.only.search(name):
            return
        if missing:
            self.report(name, skip=missing)
            return
        try:
            test()
            self.report(name)
        except (AssertionError, OSError, ValueError, KeyError, IndexError, AttributeError, subprocess.SubprocessError) as err:
            self.report(name, f'{type(err).__name__}: {err}')

    def end(self):
        """The plan; the exit code."""
        print(f'1..{self.count}')
        return 1 if self.failures else 0


def begin(argv, env=None):
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop(process):
    process.kill()
    process.wait()


HELD = []


def free_port():
    """A port that nobody else gets while this program runs: its socket stays bound and never listens, and who sets SO_REUSEADDR, as
    all servers here do, can listen beside it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(('127.0.0.1', 0))
    HELD.append(held)
    return held.getsockname()[1]


class Redis:
    """A redis server on a port of its own; `start` may be called after the programs have begun to look for it."""

    def __init__(self, late=False):
        self.port = free_port()
        self.folder, self.process = tempfile.TemporaryDirectory(), None
        if not late:
            self.start()

    def start(self):
        self.process = subprocess.Popen(['redis-server', '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--dir',
                                         self.folder.name], stdout=subprocess.DEVNULL)

    def ask(self, *words):
        end = time.monotonic() + LIMIT_S
        while True:
            ran = subprocess.run(['redis-cli', '-p', str(self.port), *words], capture_output=True, text=True, timeout=LIMIT_S,
                                 check=False)
            if ran.returncode == 0:
                return ran.stdout.strip()
            assert time.monotonic() < end, f'redis: {ran.stderr}'
            time.sleep(0.05)

    def __enter__(self):
        if self.process:
            self.ask('PING')  # time limits of what is tested begin when it answers
        return self

    def __exit__(self, *_):
        if self.process:
            stop(self.process)
        self.folder.cleanup()
