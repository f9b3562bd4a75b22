# SPDX-License-Identifier: MIT
"""One HTML page of a run, without any outside resource: what is to be reached, charts, curves, decisions, all figures."""
import html

import charts
import decisions
import targets
from scenarios import FIGURES, GROUPS, TEXTS
from table import columns, group, median, ratios, short, spread, with_spread

STYLE = '''
:root{color-scheme:light dark;--line:#8883;--soft:#868e96;--good:#2b8a3e;--aim:#087f5b;--bad:#c92a2a}
@media (prefers-color-scheme:dark){:root{--good:#69db7c;--aim:#38d9a9;--bad:#ff8787}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:1240px;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.25rem;margin:2.6rem 0 .6rem;border-bottom:2px solid var(--line);padding-bottom:.2rem}
h3{font-size:1rem;margin:1.3rem 0 .4rem}p.note,.soft{color:var(--soft);margin:.2rem 0;font-size:.88rem}
nav a{margin-right:1rem;font-size:.9rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(285px,1fr));gap:.7rem}
.wide{display:grid;grid-template-columns:repeat(auto-fill,minmax(560px,1fr));gap:.8rem}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.55rem .8rem}
figcaption{font-weight:600;font-size:.87rem;margin-bottom:.2rem}figcaption small{font-weight:400;color:var(--soft)}
svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:currentColor}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.84rem;font-variant-numeric:tabular-nums}
td,th{padding:.22rem .55rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
td.l,th.l{text-align:left;white-space:normal}td small{color:var(--soft)}
.good{color:var(--good)}.aim{color:var(--aim);font-weight:600}.bad{color:var(--bad);font-weight:600}
.pill{display:inline-block;border-radius:9px;padding:0 .6em;border:1px solid currentColor;font-size:.78rem}
.key span{display:inline-block;margin-right:1.1rem;font-size:.88rem}.key i{display:inline-block;width:.85em;height:.85em;border-radius:2px;
margin-right:.35em;vertical-align:-1px}
'''
MAIN = ('rate', 'per_s', 'p50_us', 'p99_us', 'cpu_per_gb', 'cpu_us', 'pss_kib', 'kernel_kib', 'base_mib', 'total_mib', 'idle_cpu_ms',
        'wakes_each')  # charts; the others are in the table only
CURVES = (
    ('size', 'rate', 'Messages of 16 B to 1 MiB, answered one by one', 'bytes of a message', 'MB/s', True),
    ('size', 'cpu_us', "Server's CPU time for each message", 'bytes of a message', 'us', False),
    ('connections', 'per_s', 'Pings of all connections at once', 'connections', '/s', True),
    ('connections', 'p50_us', 'Their round trip, median', 'connections', 'us', False),
    ('connections', 'total_mib', 'Memory of the server', 'connections', 'MiB PSS', False),
)


def esc(text):
    return html.escape(str(text))


def head_part(head):
    versions = '; '.join(head['versions'])
    rates = ', '.join(f'{c} {r:,.0f} MB/s' for c, r in head.get('ceiling_rates', {}).items())
    parts = ['<h1>lotus-p2p bench</h1>',
             f'<p class="note">{esc(head["time"])} · commit {esc(head["commit"])} · {esc(head["cpu"])}, {head["cpus"]} cores, kernel '
             f'{esc(head["kernel"])}, load before {head["load_before"]}</p>'
             f'<p class="note">{esc(versions)}. Our cipher: {esc(head["cipher"])}.</p>',
             f'<p class="note">{head["rounds"]} interleaved rounds of {head["seconds"]} s. Bars are medians, thin lines the extremes. Each '
             'scenario has a fresh server process, over loopback, under one common client. The dashed line is the ceiling: the smallest '
             f'program that moves the same bytes over the same sockets with {esc(head.get("ceiling_cipher"))} ({esc(rates)}). A bar that '
             'is much longer than the others is cut.</p>']
    if head['missing']:
        parts.append(f'<p class="note bad">Left out: {esc("; ".join(head["missing"]))}</p>')
    if head.get('options'):
        parts.append(f'<p class="note">Options of our node: {esc(head["options"])}</p>')
    return ''.join(parts)


def targets_part(records):
    judged = [j for j in targets.judge(records) if j[2] != targets.UNKNOWN]
    if not judged:
        return ''
    classes = {targets.AIM: 'aim', targets.REACHED: 'good', targets.MISSED: 'bad'}
    counts = {v: sum(1 for j in judged if j[2] == v) for v in classes}
    out = ['<h2 id="targets">What is to be reached</h2>'
           f'<p class="note">{len(judged)} rows: <span class="aim">{counts[targets.AIM]} aim reached</span>, '
           f'<span class="good">{counts[targets.REACHED]} reached</span>, <span class="bad">{counts[targets.MISSED]} not reached</span></p>'
           '<table><tr><th class="l">row</th><th class="l">against</th><th>measured</th><th>at least</th><th>aim</th>'
           '<th style="width:26%">the way there</th><th>verdict</th></tr>']
    for t, got, verdict in judged:
        sign, times = '≥' if t.more else '≤', '' if t.to == targets.VALUE else '×'
        out.append(f'<tr><td class="l">{esc(t.text)}</td><td class="l soft" style="white-space:nowrap">{t.to.split(" =")[0]}</td>'
                   f'<td><b>{short(got)}{times}</b></td>'
                   f'<td>{sign} {t.least:g}{times}</td><td>{sign} {t.aim:g}{times}</td><td>{charts.way(t, got)}</td>'
                   f'<td><span class="pill {classes[verdict]}">{verdict}</span></td></tr>')
    return ''.join(out) + '</table>'


def key(subjects, with_ceiling=True):
    parts = [f'<span><i style="background:{charts.color(s)}"></i>{esc(s)}</span>' for s in subjects if s != 'ceiling']
    return '<p class="key">' + ''.join(parts) + ('<span>┆ ceiling</span>' if with_ceiling else '') + '</p>'


def charts_part(rows):
    out, last_group, last = [], None, None
    for (scenario, figure), row in rows.items():
        if figure not in MAIN or scenario.startswith(('runtime', 'channel')):
            continue
        if GROUPS.get(scenario) != last_group:
            out.append('</div>' * (last is not None) + f'<h2>{esc(GROUPS.get(scenario))}</h2>')
            last_group, last = GROUPS.get(scenario), None
        if scenario != last:
            out.append('</div>' * (last is not None) + f'<h3>{esc(TEXTS.get(scenario, scenario))} '
                       f'<small class="soft">{esc(scenario)}</small></h3><div class="cards">')
            last = scenario
        unit, more, text = FIGURES[figure]
        what = f'{unit}, ' if unit else ''
        bulk = figure.endswith('_each') and ('up-' in scenario or 'down-' in scenario)
        out.append(f'<figure><figcaption>{esc(text)}{" GB" if bulk else ""} <small>{what}{"more" if more else "less"} is better</small>'
                   f'</figcaption>{charts.bars(row)}</figure>')
    return ''.join(out) + '</div>' * (last is not None)


def curves_part(records):
    figures = []
    for curve, figure, text, x_text, unit, more in CURVES:
        series = {}
        for r in records:
            if r.get('event') == 'point' and r['curve'] == curve and r['figure'] == figure:
                series.setdefault(r['subject'], {}).setdefault(r['x'], []).append(r['y'])
        lines = {name: sorted((x, median(ys)) for x, ys in points.items()) for name, points in series.items()}
        if lines:
            figures.append(f'<figure><figcaption>{esc(text)} <small>{esc(unit)}, {"more" if more else "less"} is better; both axes '
                           f'logarithmic</small></figcaption>{charts.curve(lines, x_text)}</figure>')
    return f'<h2 id="curves">Curves</h2><div class="wide">{"".join(figures)}</div>' if figures else ''


def decision_cell(cell, shipped, figure):
    if cell is None:
        return '<td></td>'
    text = short(cell[0]) + (f' <small>±{cell[1] * 100:.0f}%</small>' if cell[1] else '')
    if shipped is None or cell is shipped or shipped[0] == 0:
        return f'<td>{text}</td>'
    ratio = cell[0] / shipped[0]
    noise = max(0.05 if cell[1] and shipped[1] else 0.2, cell[1] + shipped[1])  # one round has no spread of its own
    if abs(ratio - 1) <= noise:
        return f'<td>{text}</td>'
    kind = 'good' if (ratio > 1) == FIGURES[figure][1] else 'bad'
    return f'<td class="{kind}">{text}</td>'


def decisions_part(records):
    found, mailbox = decisions.rows(records), decisions.mailbox_rows(records)
    out = []
    if found:
        out.append('<h2 id="decisions">Decisions of the design</h2><p class="note">Green and red: better and worse than as shipped by more '
                   'than the noise of both.</p><div class="scroll"><table><tr><th class="l" style="min-width:15rem">alternative</th>' +
                   ''.join(f'<th style="white-space:normal">{esc(head)}</th>' for _, _, head in decisions.COLUMNS) + '</tr>')
        shipped = found[0][1]
        for text, cells in found:
            out.append(f'<tr><td class="l">{esc(text)}</td>' + ''.join(
                decision_cell(c, s, figure) for c, s, (_, figure, _) in zip(cells, shipped, decisions.COLUMNS)) + '</tr>')
        out.append('</table></div>')
    for text, p50, cpu in decisions.protocol_rows(records):
        out.append(f'<p class="note">{esc(text)}: p50 {short(p50)} us, CPU {short(cpu)} us</p>')
    for text, handshake, rate, heap in decisions.channel_rows(records):
        out.append(f'<p class="note">{esc(text)}: handshake of both ends {short(handshake)} us of CPU, {short(rate)} MB/s sealed '
                   f'and opened on one core, {short(heap)} bytes of heap at rest</p>')
    if mailbox:
        lines = {name: [(row[0], row[i]) for row in mailbox]
                 for i, name in ((1, 'ck_stack, taken whole (chosen)'), (2, 'ck_ring MPSC'), (3, 'the whole mailbox'),
                                 (5, 'ck_ring MPSC, slowest round'))}
        out.append('<h3>The queue under a mailbox</h3><div class="wide"><figure><figcaption>ns for each message over the number of senders '
                   f'<small>less is better; both axes logarithmic</small></figcaption>{charts.curve(lines, "senders")}</figure></div>')
    return ''.join(out)


def runtime_part(rows):
    found = [(s[8:], row) for (s, _), row in rows.items() if s.startswith('runtime') and 'queue-' not in s]
    if not found:
        return ''
    cells = ''.join(f'<tr><td class="l">{esc(name)}</td><td>{short(median(row["lotus"]))} ns '
                    f'<small>±{spread(row["lotus"]) * 100:.0f}%</small></td></tr>' for name, row in found)
    return ('<h2 id="runtime">The runtime alone</h2><p class="note">mailbox-N: a message with N senders; ping-pong: a round trip of two '
            'actors under each placement; start and restart of an actor.</p>'
            f'<table style="width:auto">{cells}</table>')


def ratio_cell(figure, ratio):
    if ratio is None:
        return '<td></td>'
    good = (ratio >= 1) == FIGURES[figure][1]
    return f'<td class="{"good" if good else "bad"}">{ratio:.2f}×</td>'


def all_part(rows):
    subjects = columns(rows)
    out = ['<h2 id="all">All figures</h2><div class="scroll"><table><tr><th class="l">scenario</th><th class="l">figure</th>' +
           ''.join(f'<th>{esc(s)}</th>' for s in subjects) + '<th>to the best peer</th><th>to the ceiling</th></tr>']
    last = None
    for (scenario, figure), row in rows.items():
        to_peer, to_ceiling = ratios(figure, row)
        cells = ''.join(f'<td>{with_spread(row[s])}</td>' if s in row else '<td></td>'
                        for s in subjects)
        out.append(f'<tr><td class="l">{esc(scenario) if scenario != last else ""}</td><td class="l">{esc(FIGURES[figure][2])} '
                   f'<small>{FIGURES[figure][0]}</small></td>{cells}{ratio_cell(figure, to_peer)}{ratio_cell(figure, to_ceiling)}</tr>')
        last = scenario
    return ''.join(out) + '</table></div>'


def page(records):
    rows = group(records)
    head = next(r for r in records if r.get('event') == 'run')
    failed = sorted({f'{r["scenario"]}, {r["subject"]}: {r["text"]}' for r in records if r.get('event') == 'failed'})
    subjects = [s for s in columns({k: v for k, v in rows.items() if not k[0].startswith(('runtime', 'channel'))})]
    parts = ('targets', 'curves', 'decisions', 'runtime', 'all')
    links = '<nav>' + ''.join(f'<a href="#{p}">{p}{" figures" if p == "all" else ""}</a>' for p in parts) + '</nav>'
    problems = ''.join(f'<p class="note bad">Failed: {esc(text)}</p>' for text in failed)
    body = [head_part(head), links, problems, targets_part(records), key(subjects), charts_part(rows), curves_part(records),
            decisions_part(records), runtime_part(rows), all_part(rows)]
    return ('<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f'<title>lotus-p2p bench</title><style>{STYLE}</style>{"".join(body)}</html>\n')
