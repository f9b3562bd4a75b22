# SPDX-License-Identifier: MIT
"""One HTML page of a run: tables and charts, without any outside resource."""
import html

from scenarios import FIGURES
from table import best_peer, group, median, ratios, short, spread, title

COLORS = {'lotus': '#0b7285', 'lotus-1io': '#3bc9db', 'lotus-own': '#99e9f2', 'go': '#7048e8', 'rust': '#d9480f', 'js': '#e8b004'}
STYLE = '''
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2.2rem 0 .3rem}p.note{color:#868e96;margin:.2rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:1rem}
figure{margin:0;border:1px solid #8884;border-radius:8px;padding:.6rem .8rem}
figcaption{font-weight:600;font-size:.9rem}svg text{font:12px system-ui,sans-serif;fill:currentColor}
table{border-collapse:collapse;width:100%;font-size:.85rem;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .5rem;border-bottom:1px solid #8883;text-align:right}
td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}.good{color:#2b8a3e;font-weight:600}.bad{color:#c92a2a}
'''


def color(name):
    return COLORS.get(name, '#868e96')


def bars(figure, row):
    """Horizontal bars with their spread; the ceiling is a dashed line."""
    names = [n for n in row if not n.startswith('ceiling')]
    ceilings = {n: median(v) for n, v in row.items() if n.startswith('ceiling')}
    top = max([max(row[n]) for n in names] + list(ceilings.values()) + [1e-9])
    left, width, step = 74, 190, 22
    height = step * len(names) + 6
    parts = [f'<svg viewBox="0 0 340 {height + (14 if ceilings else 0)}" role="img">']
    for i, name in enumerate(names):
        value, y = median(row[name]), i * step + 4
        w = max(1, value / top * width)
        low, high = (left + x / top * width for x in (min(row[name]), max(row[name])))
        parts.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>'
                     f'<rect x="{left}" y="{y}" width="{w:.1f}" height="16" rx="3" fill="{color(name)}"/>'
                     f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 8}" y2="{y + 8}" stroke="currentColor" stroke-opacity=".55"/>'
                     f'<text x="{left + max(w, high - left) + 5:.1f}" y="{y + 12}">{short(value)}</text>')
    for name, value in ceilings.items():
        x = left + value / top * width
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="currentColor" stroke-dasharray="3 3"/>')
    if ceilings:
        best = (max if FIGURES[figure][1] else min)(ceilings, key=ceilings.get)
        parts.append(f'<text x="{left}" y="{height + 11}">dashed: {html.escape(best)} {short(ceilings[best])}</text>')
    return ''.join(parts) + '</svg>'


def curve(series, unit):
    """Lines over a logarithmic axis: {subject: [(x, y)]}."""
    import math
    points = [p for line in series.values() for p in line]
    if len(points) < 2:
        return ''
    xs, top = [math.log10(x) for x, _ in points], max(y for _, y in points) or 1
    low, span = min(xs), (max(xs) - min(xs)) or 1
    place = lambda x, y: (60 + (math.log10(x) - low) / span * 420, 170 - y / top * 150)
    parts = ['<svg viewBox="0 0 520 200" role="img"><line x1="60" x2="490" y1="170" y2="170" stroke="currentColor"/>',
             f'<text x="55" y="24" text-anchor="end">{short(top)}</text><text x="55" y="174" text-anchor="end">0 {unit}</text>']
    for x in sorted({x for x, _ in points}):
        parts.append(f'<text x="{place(x, 0)[0]:.0f}" y="186" text-anchor="middle">{short(x)}</text>')
    for n, (name, line) in enumerate(series.items()):
        path = ' '.join(f'{px:.1f},{py:.1f}' for px, py in (place(x, y) for x, y in sorted(line)))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color(name)}" stroke-width="2"/>'
                     f'<text x="{70 + 75 * n}" y="12" style="fill:{color(name)}">{html.escape(name)}</text>')
    return ''.join(parts) + '</svg>'


def ratio_cell(figure, ratio):
    if ratio is None:
        return '<td></td>'
    good = (ratio >= 1) == FIGURES[figure][1]
    return f'<td class="{"good" if good else "bad"}">{ratio:.2f}x</td>'


def page(records, curves):
    rows = group(records)
    head = next(r for r in records if r.get('event') == 'run')
    subjects = []
    for row in rows.values():
        subjects += [s for s in row if s not in subjects and not s.startswith('ceiling')]
    body = [f'<h1>lotus-p2p bench</h1><p class="note">{html.escape(head["time"])}, {html.escape(head["cpu"])}, {head["cpus"]} cores, '
            f'kernel {html.escape(head["kernel"])}; {head["rounds"]} rounds of {head["seconds"]} s, interleaved; medians, lines show '
            'the extremes. ' + html.escape('; '.join(head['versions'])) + '</p>']
    if head['missing']:
        body.append(f'<p class="note">Left out: {html.escape("; ".join(head["missing"]))}</p>')
    charts = {}
    for (scenario, figure), row in rows.items():
        if figure != 'switches_each':
            charts.setdefault(scenario, []).append(
                f'<figure><figcaption>{figure} {FIGURES[figure][0]}{" (more is better)" if FIGURES[figure][1] else ""}</figcaption>'
                f'{bars(figure, row)}</figure>')
    for scenario, figures in charts.items():
        body.append(f'<h2>{html.escape(title(scenario))}</h2><div class="cards">{"".join(figures)}</div>')
    for text, unit, series in curves:
        body.append(f'<h2>{html.escape(text)}</h2><figure>{curve(series, unit)}</figure>')
    body.append('<h2>All figures</h2><table><tr><th>scenario</th><th>figure</th>' +
                ''.join(f'<th>{html.escape(s)}</th>' for s in subjects) + '<th>to the best peer</th><th>to the ceiling</th></tr>')
    for (scenario, figure), row in rows.items():
        to_peer, to_ceiling = ratios(figure, row)
        peer = best_peer(figure, row)
        cells = ''.join(f'<td>{short(median(row[s]))} <small>±{spread(row[s]) * 100:.0f}%</small></td>' if s in row else '<td></td>'
                        for s in subjects)
        body.append(f'<tr><td>{html.escape(scenario)}</td><td>{figure} {FIGURES[figure][0]}</td>{cells}{ratio_cell(figure, to_peer)}'
                    f'{ratio_cell(figure, to_ceiling)}</tr>' + (f'<!-- {peer[0]} -->' if peer else ''))
    body.append('</table>')
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>lotus-p2p bench</title>'
            f'<style>{STYLE}</style>{"".join(body)}</html>\n')
