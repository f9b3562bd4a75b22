# SPDX-License-Identifier: MIT
"""The decisions of the design, each measured beside what was not chosen: placements and ciphers of the node, the placement of a
protocol, the queue under a mailbox."""
import scenarios
from subjects import VARIANTS
from table import group, median, short, spread

CONNECTIONS = 200  # of the row for memory


def _idle(context, subject):
    return scenarios.idle(context, subject, CONNECTIONS, scenarios.crowd_pings)


# (scenario, its run, the figures that are kept: {figure: head of the column})
LOADS = (
    ('up-1', scenarios.SCENARIOS['up-1'].run, {'rate': 'upload MB/s', 'cpu_per_gb': 'upload CPU s/GB'}),
    ('down-1', scenarios.SCENARIOS['down-1'].run, {'cpu_per_gb': 'download CPU s/GB'}),
    ('ping', scenarios.SCENARIOS['ping'].run, {'p50_us': 'ping p50 us', 'cpu_us': 'ping CPU us'}),
    ('echo', scenarios.SCENARIOS['echo'].run, {'p50_us': 'echo p50 us', 'cpu_us': 'echo CPU us'}),
    ('messages', scenarios.SCENARIOS['messages'].run, {'cpu_us': 'message CPU us'}),
    ('idle', _idle, {'base_mib': 'base MiB',
                     'both_kib': 'idle KiB', 'threads': 'threads', 'per_s': f'pings/s of {CONNECTIONS}', 'cpu_us': 'their CPU us'}),
)
COLUMNS = [(scenario, figure, head) for scenario, _, kept in LOADS for figure, head in kept.items()]


def steps():
    return len(VARIANTS) * len(LOADS)


def one_round(context, variants, round_no, guarded, step):
    """Every variant under every load. guarded(scenario, subject, run) keeps what run() gives."""
    for scenario, run, kept in LOADS:
        order = list(variants.values())
        for subject in order if round_no % 2 == 0 else order[::-1]:
            step(f'decisions: {scenario}, {subject.name}')
            guarded(scenario, subject.name, lambda: {f: v for f, v in run(context, subject).items() if f in kept})


def rows(records):
    """[(what is decided, [(value, spread) or None for each column])]"""
    grouped = group(records, 'decision')
    out = []
    for text, name, _ in VARIANTS:
        cells = [grouped.get((scenario, figure), {}).get(name) for scenario, figure, _ in COLUMNS]
        if any(cells):
            out.append((text, [(median(c), spread(c)) if c else None for c in cells]))
    return out


def mailbox_rows(records):
    """[(senders, stack ns, ring ns, the whole mailbox ns, the slowest round of the stack, and of the ring)]"""
    grouped = group(records)

    def of(name, pick=median):
        row = grouped.get((f'runtime {name}', 'ns'), {}).get('lotus')
        return pick(row) if row else None
    found = [(n, of(f'queue-stack-{n}'), of(f'queue-ring-{n}'), of(f'mailbox-{n}'), of(f'queue-stack-{n}', max), of(f'queue-ring-{n}', max))
             for n in (1, 2, 4, 8)]
    return [r for r in found if None not in r]


def protocol_rows(records):
    """[(placement of a protocol, p50 us, CPU us)]: the same echo, resident or on a thread of its own."""
    grouped, out = group(records, 'decision'), []
    for text, scenario in (('protocol: resident on the io thread (ping)', 'ping'), ("protocol: the user's own thread (echo)", 'echo')):
        p50, cpu = (grouped.get((scenario, figure), {}).get('lotus') for figure in ('p50_us', 'cpu_us'))
        if p50 and cpu:
            out.append((text, median(p50), median(cpu)))
    return out


def channel_rows(records):
    """[(secure channel, us for a handshake of both ends, MB/s sealed and opened on one core, bytes of heap while it rests)]"""
    grouped, out = group(records), []
    for text, name in (('secure channel: Noise, ChaCha20-Poly1305', 'noise'), ('secure channel: TLS 1.3, AES-GCM, mbedTLS', 'tls-mbedtls'),
                       ('secure channel: TLS 1.3, AES-GCM, OpenSSL', 'tls-openssl')):
        cells = [grouped.get((f'channel {name}', figure), {}).get('lotus') for figure in ('cpu_us', 'rate', 'heap_bytes')]
        if all(cells):
            out.append((text, *(median(c) for c in cells)))
    return out


def text_table(records):
    found = rows(records)
    lines = []
    if found:
        lines.append(['decision'] + [head for _, _, head in COLUMNS])
        lines += [[text] + [short(c[0]) + (f' ±{c[1] * 100:.0f}%' if c[1] else '') if c else '' for c in cells] for text, cells in found]
    out = ['']
    if lines:
        # A head may take two lines.
        widths = [max([len(line[i]) for line in lines[1:]] + [max(len(w) for w in lines[0][i].split(' ', 1))])
                  for i in range(len(lines[0]))]
        heads = [h.split(' ', 1) + [''] for h in lines[0]]
        for line in ([h[0] for h in heads], [h[1] for h in heads], *lines[1:]):
            out.append('  '.join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip())
    for text, p50, cpu in protocol_rows(records):
        out.append(f'{text:<48}  p50 {short(p50):>6} us   CPU {short(cpu):>6} us')
    for text, handshake, rate, heap in channel_rows(records):
        out.append(f'{text:<48}  handshake of both ends {short(handshake):>6} us CPU   {short(rate):>6} MB/s on one core   '
                   f'heap {short(heap):>5} B at rest')
    for senders, stack, ring, mailbox, stack_worst, ring_worst in mailbox_rows(records):
        out.append(f'mailbox, {senders} senders: ck_stack {short(stack)} ns a message (slowest round {short(stack_worst)}), '
                   f'ck_ring MPSC {short(ring)} ({short(ring_worst)}); the whole mailbox with allocation and wake-up {short(mailbox)}')
    return '\n'.join(out) if len(out) > 1 else ''


