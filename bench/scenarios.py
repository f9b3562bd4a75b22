# SPDX-License-Identifier: MIT
"""What is measured. Each scenario is run against a fresh server process and gives figures {name: value}; FIGURES says of each name
what its unit is and whether more is better."""
import os
import tempfile
import time

import measure

FIGURES = {  # name: (unit, more is better, what it is)
    'rate': ('MB/s', True, 'throughput'),
    'per_s': ('/s', True, 'rate'),
    'p50_us': ('us', False, 'latency, median'),
    'p99_us': ('us', False, 'latency, 99th percentile'),
    'cpu_per_gb': ('s/GB', False, "server's CPU time for each GB"),
    'cpu_us': ('us', False, "server's CPU time for each"),
    'pss_kib': ('KiB', False, 'user memory (PSS) for each connection'),
    'kernel_kib': ('KiB', False, 'kernel memory for each connection'),
    'both_kib': ('KiB', False, 'user and kernel memory for each connection'),
    'total_mib': ('MiB', False, 'growth of memory in all'),
    'base_mib': ('MiB', False, 'memory of the node without connections'),
    'threads': ('', False, 'threads of the server'),
    'idle_cpu_ms': ('ms/s', False, 'CPU time for each second'),
    'switches_each': ('', False, 'context switches for each'),
    'wakes_each': ('', False, 'wake-ups (voluntary switches) for each'),
    'allocs_each': ('', False, 'allocations for each'),
    'heap_bytes': ('B', False, 'heap at rest'),
    'ns': ('ns', False, 'time for each'),
}


class Context:
    """What a scenario needs: programs and durations."""

    def __init__(self, build, seconds, crowd, folder=None):
        self.bin = os.path.join(build, 'bench')
        self.seconds = seconds
        self.crowd = crowd  # connections of the idle scenario
        self.counters = os.path.join(folder or tempfile.gettempdir(), f'lotus-bench-{os.getpid()}.counters')

    def start(self, subject, **options):
        if subject.ours:
            try:
                os.unlink(self.counters)
            except FileNotFoundError:
                pass
            options['counters'] = self.counters
        server = measure.Peer(subject.argv, dict(subject.options, **options))
        server.do('quiet')
        server.counted = subject.ours
        return server

    def load(self, server, kind, *more, seconds=None):
        argv = [os.path.join(self.bin, 'bench_load'), kind, '--addr', server.addr, '--pid', str(server.pid), '--seconds',
                str(seconds or self.seconds)] + [str(m) for m in more]
        return measure.Process(argv + (['--counters', self.counters] if server.counted else []))

    def result(self, server, kind, *more, seconds=None):
        client = self.load(server, kind, *more, seconds=seconds)
        try:
            r = client.next(45 + (seconds or self.seconds))
        finally:
            client.stop()
        r['counted'] = server.counted
        return r


def each_of(r, count):
    """What the server did for each of `count`."""
    found = {'switches_each': r['server_switches'] / count, 'wakes_each': r['server_wakes'] / count}
    if r.get('counted'):
        found['allocs_each'] = r['server_allocs'] / count
    return found


def bulk_figures(r):
    """For each GB."""
    gb = r['bytes'] / 1e9
    if gb == 0:
        raise measure.Failed('not one byte was moved')
    found = {'rate': gb * 1e3 / r['seconds'], 'cpu_per_gb': r['server_cpu_s'] / gb}
    return dict(found, **each_of(r, gb)) if 'server_wakes' in r else found


def each_figures(r):
    if r['count'] == 0 or r.get('failed', 0) > r['count'] / 100:
        raise measure.Failed(f'{r["failed"]:.0f} failed, {r["count"]:.0f} went well')
    found = {'per_s': r['count'] / r['seconds'], 'cpu_us': r['server_cpu_s'] / r['count'] * 1e6}
    return dict(found, **each_of(r, r['count'])) if 'server_wakes' in r else found


def latency_figures(r):
    count = max(r['count'], 1)
    found = {'p50_us': r['p50_us'], 'p99_us': r['p99_us'], 'cpu_us': r['server_cpu_s'] / count * 1e6}
    return dict(found, **each_of(r, count)) if 'server_wakes' in r else found


def simple(kind, figures, *arguments, options=None, prepare=None):
    """One load of the common client on one server."""
    def run(context, subject):
        server = context.start(subject, **(options or {}))
        try:
            if prepare:
                prepare(context, server)
            return figures(context.result(server, kind, *arguments))
        finally:
            server.stop()
    return run


def put_first(context, server):
    context.result(server, 'put', '--parallel', 1, '--count', 20, seconds=1)


def fill_table(_, server):
    server.do('kad.fill', count=1000)


def settled_pss(pid):
    """PSS when it does not change any more; at most two seconds."""
    last = measure.pss_kib(pid)
    for _ in range(8):
        time.sleep(0.25)
        now = measure.pss_kib(pid)
        if abs(now - last) <= max(64, last // 500):
            return now
        last = now
    return last


def idle(context, subject, crowd=None, then=None):
    """Memory of connections on which nothing happens. then(server, client): what else is measured with them."""
    crowd = crowd or context.crowd
    server = context.start(subject, connections_max=crowd + 100)
    client = None
    try:
        base, kernel = settled_pss(server.pid), measure.kernel_kib()
        client = context.load(server, 'crowd', '--count', crowd)
        held = client.next(90)
        if held['failed'] > 0:
            raise measure.Failed(f'{held["failed"]:.0f} connections failed')
        user, after = (settled_pss(server.pid) - base) / held['count'], measure.kernel_kib()
        slabs, stacks, buffers = (b - a for a, b in zip(kernel, after))
        # Both ends of each connection are on this machine; the threads are the server's.
        system = max(0, (slabs + buffers) / 2 + stacks) / held['count']
        figures = {'base_mib': base / 1024, 'pss_kib': user, 'kernel_kib': system, 'both_kib': user + system,
                   'threads': int(measure.status(server.pid)['Threads'])}
        if then:
            figures.update(then(server, client))
        return figures
    finally:
        if client:
            client.stop()
        server.stop()


def crowd_pings(_, client):
    """All connections of a crowd ping at once."""
    client.say('')
    r = client.next(60)
    return {'per_s': r['count'] / r['seconds'], 'p50_us': r['p50_us'], 'p99_us': r['p99_us'],
            'cpu_us': r['server_cpu_s'] / r['count'] * 1e6}


def resting(context, found, seconds, say):
    """CPU of nodes with idle connections, all at the same time: nothing else runs on the machine. {subject: figures}"""
    servers, clients, figures = {}, {}, {}
    try:
        for subject in found:
            servers[subject.name] = context.start(subject, connections_max=context.crowd + 100)
            clients[subject.name] = context.load(servers[subject.name], 'idle', '--count', context.crowd)
        for client in clients.values():
            client.next(120)
        for left in range(3, 0, -1):
            say(f'idle connections: {left} s until what the connecting left behind has settled')
            time.sleep(1)
        before, begun = {n: measure.cpu_seconds(s.pid) for n, s in servers.items()}, time.monotonic()
        while time.monotonic() - begun < seconds:
            say(f'{context.crowd} idle connections of each: {seconds - (time.monotonic() - begun):.0f} s more')
            time.sleep(min(5, max(0.01, seconds - (time.monotonic() - begun))))
        passed = time.monotonic() - begun
        for name, server in servers.items():
            figures[name] = {'idle_cpu_ms': (measure.cpu_seconds(server.pid) - before[name]) * 1e3 / passed}
    finally:
        for process in list(clients.values()) + list(servers.values()):
            process.stop()
    return figures


def slow(context, subject):
    """Memory under readers that do not read."""
    server = context.start(subject)
    client = None
    try:
        base = settled_pss(server.pid)
        client = context.load(server, 'slow', '--count', 200)
        client.next(90)
        time.sleep(0.5)
        grown = settled_pss(server.pid) - base
        return {'pss_kib': grown / 200, 'total_mib': grown / 1024}
    finally:
        if client:
            client.stop()
        server.stop()


def fair(context, subject):
    """Ping of one connection while another one downloads at full speed."""
    server = context.start(subject)
    other = None
    try:
        other = context.load(server, 'down', seconds=context.seconds + 0.8)
        time.sleep(0.3)
        r = context.result(server, 'ping')
        moved = other.next(60)
        return {'p50_us': r['p50_us'], 'p99_us': r['p99_us'], 'rate': moved['bytes'] / moved['seconds'] / 1e6}
    finally:
        if other:
            other.stop()
        server.stop()


def pair(kind, figures, **arguments):
    """A peer with itself: its own client against its own server."""
    def run(context, subject):
        server, client = context.start(subject), context.start(subject)
        try:
            before = measure.cpu_seconds(server.pid)
            r = client.do('load', kind=kind, addr=server.addr, seconds=context.seconds, **arguments)
            r['server_cpu_s'] = measure.cpu_seconds(server.pid) - before
            return figures(r)
        finally:
            client.stop()
            server.stop()
    return run


def broadcast(context, subject):
    """One node with 100 connections (of the load client) sends to all of them."""
    server = context.start(subject)
    client = context.load(server, 'idle', '--count', 100)
    try:
        client.next(60)
        before = measure.cpu_seconds(server.pid)
        r = server.do('load', kind='broadcast', seconds=context.seconds, parallel=4)
        cpu = measure.cpu_seconds(server.pid) - before
        return {'per_s': r['count'] / r['seconds'], 'cpu_us': cpu / max(r['count'], 1) * 1e6, 'p50_us': r['p50_us']}
    finally:
        client.stop()
        server.stop()


def own(kind, **arguments):
    """A call of our public interface between two nodes of ours."""
    def run(context, subject):
        server, client = context.start(subject, kad='server'), context.start(subject, kad='server')
        try:
            if kind == 'discover':
                client.do('load', kind='announce', addr=server.addr, seconds=0.3, parallel=4)
                client.stop()
                client = context.start(subject, kad='server')  # without the local cache
            before = measure.cpu_seconds(server.pid)
            r = client.do('load', kind=kind, addr=server.addr, seconds=context.seconds, **arguments)
            return {'per_s': r['count'] / r['seconds'], 'p50_us': r['p50_us'], 'p99_us': r['p99_us'],
                    'cpu_us': (measure.cpu_seconds(server.pid) - before) / max(r['count'], 1) * 1e6}
        finally:
            client.stop()
            server.stop()
    return run


class Scenario:
    def __init__(self, group, text, run, quick=False, ours=False, variants=(), rounds_max=99, each=None):
        self.group, self.text, self.run, self.quick, self.ours = group, text, run, quick, ours
        self.variants, self.rounds_max, self.each = variants, rounds_max, each


KAD = {'kad': 'server'}
BULK, SMALL, MANY, LOTUS, PAIR = 'Bulk', 'Round trips and small work', 'Connections and memory', 'DHT and Lotus', 'Each with itself'
SCENARIOS = {
    'up-1': Scenario(BULK, 'upload, 1 stream', simple('up', bulk_figures), True),
    'down-1': Scenario(BULK, 'download, 1 stream', simple('down', bulk_figures), True),
    'up-16': Scenario(BULK, 'upload, 16 streams', simple('up', bulk_figures, '--parallel', 16), rounds_max=3),
    'down-16': Scenario(BULK, 'download, 16 streams', simple('down', bulk_figures, '--parallel', 16), rounds_max=3),
    'pair-up-1': Scenario(PAIR, 'upload, 1 stream', pair('up', bulk_figures), True),
    'pair-down-1': Scenario(PAIR, 'download, 1 stream', pair('down', bulk_figures), True),
    'pair-up-16': Scenario(PAIR, 'upload, 16 streams', pair('up', bulk_figures, parallel=16), rounds_max=3),
    'pair-down-16': Scenario(PAIR, 'download, 16 streams', pair('down', bulk_figures, parallel=16), rounds_max=3),
    'pair-ping': Scenario(PAIR, 'ping', pair('ping', latency_figures)),
    'pair-messages': Scenario(PAIR, '128 B messages, 256 under way', pair('messages', each_figures, size=128, depth=256)),
    'pair-streams': Scenario(PAIR, 'streams, 64 at once', pair('streams', each_figures, parallel=64), rounds_max=3),
    'pair-connections': Scenario(PAIR, 'new connections, 16 at once', pair('connections', each_figures, parallel=16, count=60),
                                 rounds_max=3),
    'ping': Scenario(SMALL, 'ping (in our node: resident on the io thread)', simple('ping', latency_figures), True),
    'echo': Scenario(SMALL, "message echo through a user's protocol with a thread of its own, 32 B",
                     simple('messages', latency_figures, '--depth', 1, '--size', 32), True),
    'fair': Scenario(SMALL, 'ping while another connection downloads at full speed', fair, True),
    'messages': Scenario(SMALL, '128 B messages, 256 under way', simple('messages', each_figures), True),
    'streams': Scenario(SMALL, 'streams (open, 1 KiB, half-close, answer, close), 64 at once',
                        simple('streams', each_figures, '--parallel', 64), True),
    'connections-1': Scenario(MANY, 'new connections with identify, 1 at once', simple('connections', each_figures), rounds_max=3),
    'connections-16': Scenario(MANY, 'new connections with identify, 16 at once',
                               simple('connections', each_figures, '--parallel', 16), True),
    'idle-500': Scenario(MANY, '500 idle connections', lambda c, s: idle(c, s, min(500, c.crowd)), rounds_max=1),
    'idle': Scenario(MANY, 'idle connections', idle, True, variants=('lotus-own',), rounds_max=3),
    'slow': Scenario(MANY, '200 slow readers that ask for 1 GiB each', slow, rounds_max=3),
    'find-node': Scenario(LOTUS, 'FIND_NODE, 1,000 peers offered to the table',
                          simple('findnode', each_figures, '--parallel', 8, options=KAD, prepare=fill_table), True),
    'put-value': Scenario(LOTUS, 'PUT_VALUE', simple('put', each_figures, '--parallel', 8, options=KAD), rounds_max=3),
    'get-value': Scenario(LOTUS, 'GET_VALUE', simple('get', each_figures, '--parallel', 8, '--count', 20, options=KAD, prepare=put_first),
                          rounds_max=3),
    'lotus': Scenario(LOTUS, 'Lotus messages received, 16 at once', simple('lotus', each_figures, '--parallel', 16), True),
    'send': Scenario(LOTUS, 'send_to, 16 under way', own('send', parallel=16), ours=True, rounds_max=3),
    'broadcast': Scenario(LOTUS, 'broadcast to 100 peers', broadcast, ours=True, rounds_max=3),
    'announce': Scenario(LOTUS, 'announce, 4 under way', own('announce', parallel=4), ours=True, rounds_max=3),
    'discover': Scenario(LOTUS, 'discover, 4 under way', own('discover', parallel=4), ours=True, rounds_max=3),
}
RESTING = 'resting'  # all subjects at the same time: see resting()
TEXTS = {name: s.text for name, s in SCENARIOS.items()} | {RESTING: 'CPU of a node with idle connections'}
GROUPS = {name: s.group for name, s in SCENARIOS.items()} | {RESTING: MANY}

# Which mode of bench_ceiling a scenario is compared with, and in which figures.
CEILING = {n: (n.split('-')[-2], ('rate', 'cpu_per_gb')) for n in SCENARIOS if 'up-' in n or 'down-' in n}
CEILING |= {n: ('ping', ('p50_us', 'p99_us', 'cpu_us')) for n in ('ping', 'pair-ping', 'echo')} | {'fair': ('ping', ('p50_us', 'p99_us'))}
CIPHERS = ('libgcrypt', 'libcrypto', 'libsodium')


def ceiling(context, mode, cipher, seconds=None):
    program = measure.Process([os.path.join(context.bin, 'bench_ceiling'), mode, cipher, str(seconds or context.seconds)])
    try:
        r = program.next(30)
    finally:
        program.stop()
    return latency_figures(r) if mode == 'ping' else bulk_figures(r)
