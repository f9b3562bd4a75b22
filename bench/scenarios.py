# SPDX-License-Identifier: MIT
"""What is measured. Each scenario is run against a fresh server process and gives figures {name: value}; FIGURES says of each name
what its unit is and whether more is better."""
import os
import time

import measure

FIGURES = {  # name: (unit, more is better)
    'rate': ('MB/s', True), 'per_s': ('/s', True), 'cpu_per_gb': ('s/GB', False), 'cpu_us': ('us', False),
    'p50_us': ('us', False), 'p99_us': ('us', False), 'pss_kib': ('KiB', False), 'kernel_kib': ('KiB', False),
    'base_mib': ('MiB', False), 'threads': ('', False), 'idle_cpu_ms': ('ms/s', False), 'switches_each': ('', False),
    'ns': ('ns', False), 'total_mib': ('MiB', False),
}


class Context:
    """What a scenario needs: programs and durations."""

    def __init__(self, build, seconds, crowd):
        self.bin = os.path.join(build, 'bench')
        self.seconds = seconds
        self.crowd = crowd  # connections of the idle scenario

    def load(self, server, kind, *more, seconds=None):
        argv = [os.path.join(self.bin, 'bench_load'), kind, '--addr', server.addr, '--pid', str(server.pid), '--seconds',
                str(seconds or self.seconds)] + [str(m) for m in more]
        return measure.Process(argv)

    def result(self, server, kind, *more, seconds=None):
        client = self.load(server, kind, *more, seconds=seconds)
        try:
            return client.next(45 + (seconds or self.seconds))
        finally:
            client.stop()


def start(subject, **options):
    server = measure.Peer(subject.argv, dict(subject.options, **options))
    server.do('quiet')
    return server


def bulk_figures(r):
    gb = r['bytes'] / 1e9
    return {'rate': gb * 1e3 / r['seconds'], 'cpu_per_gb': r['server_cpu_s'] / gb}


def each_figures(r):
    if r['count'] == 0 or r['failed'] > r['count'] / 100:
        raise measure.Failed(f'{r["failed"]:.0f} failed, {r["count"]:.0f} went well')
    return {'per_s': r['count'] / r['seconds'], 'cpu_us': r['server_cpu_s'] / r['count'] * 1e6,
            'switches_each': r['server_switches'] / r['count']}


def latency_figures(r):
    return {'p50_us': r['p50_us'], 'p99_us': r['p99_us'], 'cpu_us': r['server_cpu_s'] / max(r['count'], 1) * 1e6}


def simple(kind, figures, *arguments, options=None, prepare=None):
    """One load of the common client on one server."""
    def run(context, subject):
        server = start(subject, **(options or {}))
        try:
            if prepare:
                prepare(context, server)
            return figures(context.result(server, kind, *arguments))
        finally:
            server.stop()
    return run


def put_first(context, server):
    context.result(server, 'put', '--parallel', 4, seconds=0.3)


def fill_table(_, server):
    server.do('kad.fill', count=1000)


def idle(context, subject):
    server = start(subject, connections_max=context.crowd + 100)
    client = None
    try:
        time.sleep(0.3)
        base, kernel = measure.pss_kib(server.pid), measure.kernel_kib()
        client = context.load(server, 'idle', '--count', context.crowd)
        held = client.next(90)
        if held['failed'] > 0:
            raise measure.Failed(f'{held["failed"]:.0f} connections failed')
        time.sleep(1.5)  # what is still under way
        n, after = held['count'], measure.kernel_kib()
        slabs, stacks, buffers = (b - a for a, b in zip(kernel, after))
        figures = {'base_mib': base / 1024, 'pss_kib': (measure.pss_kib(server.pid) - base) / n,
                   # Both ends of each connection are on this machine; the threads are the server's.
                   'kernel_kib': ((slabs + buffers) / 2 + stacks) / n,
                   'threads': int(measure.status(server.pid)['Threads'])}
        cpu, begun = measure.cpu_seconds(server.pid), time.monotonic()
        time.sleep(max(2.0, context.seconds))
        figures['idle_cpu_ms'] = (measure.cpu_seconds(server.pid) - cpu) * 1e3 / (time.monotonic() - begun)
        return figures
    finally:
        if client:
            client.stop()
        server.stop()


def slow(context, subject):
    """Memory under readers that do not read."""
    server = start(subject)
    client = None
    try:
        base = measure.pss_kib(server.pid)
        client = context.load(server, 'slow', '--count', 200)
        client.next(90)
        time.sleep(1.5)
        grown = measure.pss_kib(server.pid) - base
        return {'pss_kib': grown / 200, 'total_mib': grown / 1024}
    finally:
        if client:
            client.stop()
        server.stop()


def fair(context, subject):
    """Ping of one connection while another one downloads at full speed."""
    server = start(subject)
    try:
        other = context.load(server, 'down', seconds=context.seconds + 1)
        time.sleep(0.4)
        r = context.result(server, 'ping')
        other.next(30)
        other.stop()
        return {'p50_us': r['p50_us'], 'p99_us': r['p99_us']}
    finally:
        server.stop()


def pair(kind, figures, **arguments):
    """A peer with itself: its own client against its own server."""
    def run(context, subject):
        server = start(subject, kad='off' if subject.name.startswith('lotus') else None)
        client = start(subject, kad='off' if subject.name.startswith('lotus') else None)
        try:
            before = measure.cpu_seconds(server.pid)
            r = client.do('load', kind=kind, addr=server.addr, seconds=context.seconds, **arguments)
            r['server_cpu_s'] = measure.cpu_seconds(server.pid) - before
            r.setdefault('failed', 0)
            r['server_switches'] = 0
            got = figures(r)
            got.pop('switches_each', None)
            return got
        finally:
            client.stop()
            server.stop()
    return run


def broadcast(context, subject):
    """One node with 100 connections (of the load client) sends to all of them."""
    server = start(subject)
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
        server, client = start(subject, kad='server'), start(subject, kad='server')
        try:
            if kind == 'discover':
                client.do('load', kind='announce', addr=server.addr, seconds=0.3, parallel=4)
                client.stop()
                client = start(subject, kad='server')  # without the local cache
            r = client.do('load', kind=kind, addr=server.addr, seconds=context.seconds, **arguments)
            return {'per_s': r['count'] / r['seconds'], 'p50_us': r['p50_us'], 'p99_us': r['p99_us']}
        finally:
            client.stop()
            server.stop()
    return run


KAD = {'kad': 'server'}
# name: (text, run, only ours, part of --quick)
SCENARIOS = {
    'up-1': ('bulk upload, 1 stream', simple('up', bulk_figures), False, True),
    'up-16': ('bulk upload, 16 streams', simple('up', bulk_figures, '--parallel', 16), False, False),
    'down-1': ('bulk download, 1 stream', simple('down', bulk_figures), False, True),
    'down-16': ('bulk download, 16 streams', simple('down', bulk_figures, '--parallel', 16), False, False),
    'ping': ('ping', simple('ping', latency_figures), False, True),
    'fair': ('ping while another connection downloads', fair, False, True),
    'echo': ('message echo through a protocol of the user', simple('messages', latency_figures, '--depth', 1, '--size', 32), False, True),
    'messages': ('128 B messages, pipelined', simple('messages', each_figures), False, True),
    'streams': ('streams, 64 at once', simple('streams', each_figures, '--parallel', 64), False, True),
    'lotus': ('Lotus messages received', simple('lotus', each_figures, '--parallel', 16), False, True),
    'connections-1': ('new connections, 1 at once', simple('connections', each_figures), False, False),
    'connections-16': ('new connections, 16 at once', simple('connections', each_figures, '--parallel', 16), False, True),
    'idle': ('idle connections', idle, False, True),
    'slow': ('200 slow readers', slow, False, False),
    'find-node': ('FIND_NODE, 1,000 peers offered to the table',
                  simple('findnode', each_figures, '--parallel', 8, options=KAD, prepare=fill_table), False, True),
    'put-value': ('PUT_VALUE', simple('put', each_figures, '--parallel', 8, options=KAD), False, False),
    'get-value': ('GET_VALUE', simple('get', each_figures, '--parallel', 8, options=KAD, prepare=put_first), False, False),
    'pair-up-1': ('with itself: upload, 1 stream', pair('up', bulk_figures), False, True),
    'pair-up-16': ('with itself: upload, 16 streams', pair('up', bulk_figures, parallel=16), False, False),
    'pair-down-1': ('with itself: download, 1 stream', pair('down', bulk_figures), False, True),
    'pair-down-16': ('with itself: download, 16 streams', pair('down', bulk_figures, parallel=16), False, False),
    'pair-ping': ('with itself: ping', pair('ping', latency_figures), False, True),
    'pair-messages': ('with itself: 128 B messages', pair('messages', each_figures, size=128, depth=256), False, True),
    'pair-streams': ('with itself: streams, 64 at once', pair('streams', each_figures, parallel=64), False, False),
    'pair-connections': ('with itself: new connections, 16 at once', pair('connections', each_figures, parallel=16, count=60),
                         False, False),
    'send': ('send_to, 16 under way', own('send', parallel=16), True, False),
    'broadcast': ('broadcast to 100 peers', broadcast, True, False),
    'announce': ('announce, 4 under way', own('announce', parallel=4), True, False),
    'discover': ('discover, 4 under way', own('discover', parallel=4), True, False),
}

# Which part of the ceiling a scenario is compared with: (mode of bench_ceiling, its figure, ours).
CEILING = {name: ('bulk', 'rate') for name in SCENARIOS if 'up-' in name or 'down-' in name}
CEILING |= {name: ('ping', 'p50_us') for name in ('ping', 'pair-ping', 'echo')}


def ceiling(context, mode, cipher):
    program = measure.Process([os.path.join(context.bin, 'bench_ceiling'), mode, cipher, str(context.seconds)])
    try:
        r = program.next(30)
    finally:
        program.stop()
    return bulk_figures(r) if mode == 'bulk' else latency_figures(r)
