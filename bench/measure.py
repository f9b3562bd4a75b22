# SPDX-License-Identifier: MIT
"""Processes under measurement: what they print, and what they cost."""
import json
import os
import queue
import subprocess
import threading
import time


class Failed(Exception):
    pass


class Process:
    """A program that prints JSON lines; its standard error is kept for the message when it fails."""

    def __init__(self, argv, env=None):
        self.argv = argv
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                      env=dict(os.environ, **(env or {})))
        self.pid = self.child.pid
        self.lines = queue.Queue()
        self.errors = []
        self.readers = [threading.Thread(target=self._read, daemon=True), threading.Thread(target=self._read_errors, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _read_errors(self):
        for line in self.child.stderr:
            self.errors = (self.errors + [line.rstrip()])[-20:]

    def next(self, timeout):
        """The next object that it prints."""
        end = time.monotonic() + timeout
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise Failed(f'{os.path.basename(self.argv[0])} gave no answer within {timeout:.0f} s') from None
            if line is None:
                self.child.wait()
                self.readers[1].join(1)
                raise Failed(f'{os.path.basename(self.argv[0])} ended with {self.child.returncode}: {" / ".join(self.errors)}')
            if line.startswith('{'):
                return json.loads(line)

    def say(self, text):
        try:
            self.child.stdin.write(text + '\n')
            self.child.stdin.flush()
        except OSError:
            pass

    def stop(self):
        """Ends with its standard input; by force after three seconds."""
        try:
            self.child.stdin.close()
        except OSError:
            pass
        try:
            self.child.wait(3)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Peer(Process):
    """A libp2p node that is driven by commands (tests/interop/README.md)."""

    def __init__(self, argv, options):
        super().__init__(argv + [json.dumps(options)])
        ready = self.next(60)
        self.peer, self.addr = ready['peer'], (ready['addrs'] or [None])[0]
        self.seq = 0

    def do(self, cmd, timeout=60, **arguments):
        self.seq += 1
        self.say(json.dumps(dict(arguments, id=self.seq, cmd=cmd)))
        while True:
            answer = self.next(timeout)
            if answer.get('id') != self.seq:
                continue
            if not answer['ok']:
                raise Failed(f'{cmd}: {answer["error"]["text"][:300]}')
            return answer


def cpu_seconds(pid):
    """CPU time of all threads that a process has had, with the kernel's resolution of nanoseconds."""
    return time.clock_gettime((~pid << 3) | 2)


def status(pid):
    fields = {}
    with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as file:
        for line in file:
            name, _, value = line.partition(':')
            fields[name] = value.strip()
    return fields


def pss_kib(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
        for line in file:
            if line.startswith('Pss:'):
                return int(line.split()[1])
    raise Failed('no Pss in smaps_rollup')


def kernel_kib():
    """Kernel memory that connections and threads use: (slabs, stacks, socket buffers); of the whole machine."""
    info = {}
    with open('/proc/meminfo', encoding='ascii') as file:
        for line in file:
            name, value = line.split(':')
            info[name] = int(value.split()[0])
    pages = 0
    with open('/proc/net/sockstat', encoding='ascii') as file:
        for line in file:
            words = line.split()
            if words[0] == 'TCP:':
                pages = int(words[words.index('mem') + 1])
    return info['Slab'], info['KernelStack'], pages * os.sysconf('SC_PAGE_SIZE') // 1024


def machine():
    """What the figures were taken on."""
    model = 'unknown'
    with open('/proc/cpuinfo', encoding='ascii', errors='replace') as file:
        for line in file:
            if line.startswith('model name'):
                model = line.split(':', 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return {'cpus': os.cpu_count(), 'cpu': model, 'kernel': os.uname().release, 'load_before': round(load, 2),
            'time': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}
