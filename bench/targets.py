# SPDX-License-Identifier: MIT
"""The speed to reach, in one table, and what a run says of each row."""
from scenarios import FIGURES
from table import best_peer, group, median

PEER, CEILING, VALUE = 'best peer = 1', 'ceiling = 1', 'value'


class Target:
    """`least` and `aim` are ratios to the best peer or to the ceiling, or values; `against`: (scenario, figure) of the peers when
    it is not the same one."""

    def __init__(self, text, scenario, figure, to, least, aim, subject='lotus', against=None):
        self.text, self.scenario, self.figure, self.to, self.least, self.aim = text, scenario, figure, to, least, aim
        self.subject, self.against = subject, against or (scenario, figure)
        self.more = FIGURES[figure][1]


def _bulk():
    for name, text in (('pair-up-1', 'upload'), ('pair-down-1', 'download'), ('pair-up-16', 'upload, 16 streams'),
                       ('pair-down-16', 'download, 16 streams')):
        yield Target(f'bulk with itself, {text}: rate', name, 'rate', PEER, 1.6, 2.2)
        yield Target(f'bulk with itself, {text}: share of the ceiling', name, 'rate', CEILING, 0.6, 0.8)


TARGETS = list(_bulk()) + [
    Target("server's CPU per GB, upload", 'up-1', 'cpu_per_gb', PEER, 0.6, 0.4),
    Target("server's CPU per GB, download", 'down-1', 'cpu_per_gb', PEER, 0.6, 0.4),
    Target('ping p50 (resident)', 'ping', 'p50_us', PEER, 0.8, 0.6),
    Target('ping p99 (resident)', 'ping', 'p99_us', PEER, 0.8, 0.6),
    Target("echo through a protocol on its own thread, p50, to the peers' ping", 'echo', 'p50_us', PEER, 1.2, 0.9,
           against=('ping', 'p50_us')),
    Target("streams: server's CPU each", 'streams', 'cpu_us', PEER, 0.5, 0.25),
    Target('small messages: rate', 'messages', 'per_s', PEER, 3, 8),
    Target("small messages: server's CPU each", 'messages', 'cpu_us', PEER, 0.4, 0.15),
    Target("new connection with identify: server's CPU", 'connections-16', 'cpu_us', PEER, 0.5, 0.33),
    Target('idle connection: PSS, io threads', 'idle', 'pss_kib', PEER, 0.3, 0.15),
    Target('idle connection: PSS, one thread each', 'idle', 'pss_kib', PEER, 0.7, 0.5, subject='lotus-own'),
    Target('idle connection: user and kernel memory, io threads (KiB)', 'idle', 'both_kib', VALUE, 24, 12),
    Target('base memory of the node', 'idle', 'base_mib', PEER, 0.5, 0.3),
    Target("FIND_NODE with 1,000 peers: server's CPU", 'find-node', 'cpu_us', PEER, 0.5, 0.25),
    Target('CPU of a node with idle connections', 'resting', 'idle_cpu_ms', PEER, 0.5, 0.1),
    Target('200 slow readers: memory for each, within the window of 256 KiB (KiB)', 'slow', 'pss_kib', VALUE, 256, 256),
    Target("ping p99 beside another connection's download", 'fair', 'p99_us', PEER, 1, 0.6),
]
REACHED, AIM, MISSED, UNKNOWN = 'reached', 'aim reached', 'NOT REACHED', 'not measured'


def judge(records):
    """[(target, measured ratio or value or None, verdict)]"""
    rows, out = group(records), []
    for t in TARGETS:
        row, got = rows.get((t.scenario, t.figure), {}), None
        if t.subject in row:
            ours = median(row[t.subject])
            if t.to == VALUE:
                got = ours
            elif t.to == CEILING:
                got = ours / median(row['ceiling']) if 'ceiling' in row else None
            else:
                peer = best_peer(t.against[1], rows.get(t.against, {}))
                got = (ours / peer[1] if peer[1] else 1.0 if ours == 0 else float('inf')) if peer else None
        if got is None:
            verdict = UNKNOWN
        else:
            beats = (lambda limit: got >= limit) if t.more else (lambda limit: got <= limit)
            verdict = AIM if beats(t.aim) else REACHED if beats(t.least) else MISSED
        out.append((t, got, verdict))
    return out


def text_table(records):
    judged = [j for j in judge(records) if j[2] != UNKNOWN]
    if not judged:
        return ''
    width = max(len(t.text) for t, _, _ in judged)
    lines = ['', f'{"to be reached":<{width}}  {"measured":>8}  {"at least":>8}  {"aim":>6}  {"against":<13}  verdict']
    for t, got, verdict in judged:
        sign = '>=' if t.more else '<='
        least, aim = f'{sign}{t.least:g}', f'{sign}{t.aim:g}'
        lines.append(f'{t.text:<{width}}  {got:8.2f}  {least:>8}  {aim:>6}  {t.to:<13}  {verdict}')
    return '\n'.join(lines)
