# SPDX-License-Identifier: MIT
"""From single figures to rows: medians, spreads, ratios, and the comparison of two runs."""
import json
import statistics

from scenarios import FIGURES, TEXTS


def median(values):
    return statistics.median(values)


def spread(values):
    """Half of the distance between the extremes, in parts of the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / abs(middle) if middle else 0.0


def short(value):
    if value == 0:
        return '0'
    for limit, text in ((1000, f'{value:,.0f}'), (100, f'{value:.0f}'), (10, f'{value:.1f}'), (1, f'{value:.2f}')):
        if abs(value) >= limit:
            return text
    return f'{value:.3f}' if value < 1e9 else 'none'


def group(records, event='figure'):
    """{(scenario, figure): {subject: [values]}} in the order of the scenarios' list, what is not in it at the end."""
    rows, places = {}, {name: i for i, name in enumerate(TEXTS)}
    known = [r for r in records if r.get('event') == event]
    for r in sorted(known, key=lambda r: places.get(r['scenario'], len(places))):
        if r['figure'] in FIGURES:
            rows.setdefault((r['scenario'], r['figure']), {}).setdefault(r['subject'], []).append(r['value'])
    return rows


def best_peer(figure, row):
    """The best of the peers, which is 1 in the ratios: (name, value), or None."""
    peers = {name: median(v) for name, v in row.items() if not name.startswith('lotus') and name != 'ceiling'}
    if not peers:
        return None
    choose = max if FIGURES[figure][1] else min
    name = choose(peers, key=peers.get)
    return name, peers[name]


def ratios(figure, row):
    """(ours to the best peer, ours to the ceiling); None where there is nothing to compare with."""
    ours = median(row['lotus']) if 'lotus' in row else None
    peer = best_peer(figure, row)
    to_peer = ours / peer[1] if ours is not None and peer and peer[1] else None
    to_ceiling = ours / median(row['ceiling']) if ours is not None and 'ceiling' in row and median(row['ceiling']) else None
    return to_peer, to_ceiling


def columns(rows):
    """Subjects in the order in which they came, the ceiling last."""
    subjects = []
    for row in rows.values():
        subjects += [s for s in row if s not in subjects]
    return sorted(subjects, key=lambda s: (s == 'ceiling', not s.startswith('lotus')))


def text_table(records):
    rows = group(records)
    subjects = columns(rows)
    lines = [['scenario', 'figure'] + subjects + ['best peer = 1', 'ceiling = 1']]
    last = None
    for (scenario, figure), row in rows.items():
        to_peer, to_ceiling = ratios(figure, row)
        unit = FIGURES[figure][0]
        cells = [with_spread(row[s]) if s in row else '' for s in subjects]
        name = figure if figure.endswith(('_us', '_kib', '_mib', '_gb')) or not unit else f'{figure} {unit}'
        lines.append([scenario if scenario != last else '', name] + cells +
                     [f'{to_peer:.2f}x' if to_peer is not None else '', f'{to_ceiling:.2f}x' if to_ceiling is not None else ''])
        last = scenario
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = []
    for n, line in enumerate(lines):
        out.append('  '.join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip())
        if n == 0:
            out.append('  '.join('-' * w for w in widths))
    return '\n'.join(out)


def with_spread(values):
    """Of one value there is no spread."""
    return f'{short(median(values))} ±{spread(values) * 100:.0f}%' if len(values) > 1 else short(median(values))


def load(path):
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file if line.strip()]


def compare(old, new):
    """What changed between two runs by more than the noise of both: lines of text. Our own figures first."""
    out = []
    for event in ('figure', 'decision'):
        before, after = group(old, event), group(new, event)
        for key, row in after.items():
            for subject, values in row.items():
                earlier = before.get(key, {}).get(subject)
                if not earlier or median(earlier) == 0:
                    continue
                a, b = median(earlier), median(values)
                # One round has no spread of its own: it is believed only from a quarter on.
                least = 0.03 if min(len(earlier), len(values)) > 1 else 0.25
                noise, change = max(least, spread(earlier) + spread(values)), b / a - 1
                if abs(change) > noise:
                    good = (change > 0) == FIGURES[key[1]][1]
                    word = 'better' if good else 'WORSE '
                    out.append((not subject.startswith('lotus'), f'{word}  {key[0]:<18} {key[1]:<13} {subject:<15} '
                                f'{short(a)} -> {short(b)} {FIGURES[key[1]][0]} ({change * 100:+.0f} %, noise {noise * 100:.0f} %)'))
    return [text for _, text in sorted(out, key=lambda line: line[0])]


def title(scenario):
    return TEXTS.get(scenario, scenario)
