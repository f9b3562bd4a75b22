# SPDX-License-Identifier: MIT
"""Charts as SVG text: bars, curves, and the way to a target."""
import html
import math

from table import median, short

COLORS = {'lotus': '#0c8599', 'lotus-own': '#66d9e8', 'go': '#7048e8', 'rust': '#e8590c', 'js': '#f2b705',
          'ck_stack, taken whole (chosen)': '#0c8599', 'ck_ring MPSC': '#e03131',
          'the whole mailbox': '#868e96', 'ck_ring MPSC, slowest round': '#ffa8a8'}


def color(name):
    return COLORS.get(name, '#868e96')


def bars(row):
    """Horizontal bars, thin lines for the extremes; the ceiling is a dashed line."""
    names = [n for n in row if n != 'ceiling']
    ceiling = median(row['ceiling']) if 'ceiling' in row else None
    lengths = sorted([max(row[n]) for n in names] + [ceiling or 0])
    # One that is much longer than all others is cut, so that the others can be told apart.
    top = max(1e-9, min(lengths[-1], 4 * lengths[-2]) if len(lengths) > 2 and lengths[-2] > 0 else lengths[-1])
    left, width, step = 72, 215, 21
    height = step * len(names) + 4
    parts = [f'<svg viewBox="0 0 350 {height + (15 if ceiling else 0)}" role="img">']
    for i, name in enumerate(names):
        value, y = median(row[name]), i * step + 3
        cut = value > top
        w = max(1, min(value, top) / top * width)
        low, high = (left + min(x, top) / top * width for x in (min(row[name]), max(row[name])))
        parts.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>'
                     f'<rect x="{left}" y="{y}" width="{w:.1f}" height="15" rx="2" fill="{color(name)}"/>'
                     + ('<path d="M%.0f %.0fl6 -17" stroke="#fff" stroke-width="4"/>' % (left + width * 0.8, y + 16) if cut else '') +
                     f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 7.5}" y2="{y + 7.5}" stroke="currentColor" stroke-opacity=".6"/>'
                     f'<text x="{max(left + w, high) + 5:.1f}" y="{y + 12}">{short(value)}</text>')
    if ceiling:
        x = left + ceiling / top * width
        anchor = 'end' if x > 250 else 'start'
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="currentColor" stroke-dasharray="3 3"/>'
                     f'<text x="{x + (3 if anchor == "end" else -3):.1f}" y="{height + 11}" text-anchor="{anchor}" '
                     f'fill-opacity=".75">ceiling {short(ceiling)}</text>')
    return ''.join(parts) + '</svg>'


def ticks(low, high):
    """Powers of ten, and their halves when there are few, inside of [low, high]."""
    found = [10 ** e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    if len(found) < 4:
        found = sorted(set(found + [3 * t for t in found]))
    return [t for t in found if low <= t <= high]


def size_text(x):
    for limit, unit in ((1 << 20, 'Mi'), (1 << 10, 'Ki')):
        if x >= limit and x % limit == 0:
            return f'{x // limit} {unit}'
    return f'{x:,}'


def curve(series, x_text):
    """Lines over two logarithmic axes: {name: [(x, y)]}."""
    points = [(x, y) for line in series.values() for x, y in line if y > 0]
    if len({x for x, _ in points}) < 2:
        return ''
    xs, ys = [math.log10(x) for x, _ in points], [math.log10(y) for _, y in points]
    x_low, x_span = min(xs), (max(xs) - min(xs)) or 1
    y_low, y_high = min(ys) - 0.05, max(ys) + 0.05
    left, right, top, bottom = 62, 610, 26, 232
    place_x = lambda x: left + 12 + (math.log10(x) - x_low) / x_span * (right - left - 24)
    place_y = lambda y: bottom - (math.log10(y) - y_low) / (y_high - y_low) * (bottom - top)
    parts = [f'<svg viewBox="0 0 620 272" role="img"><line x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="currentColor"/>']
    for tick in ticks(10 ** y_low, 10 ** y_high):
        y = place_y(tick)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="currentColor" stroke-opacity=".15"/>'
                     f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    for x in sorted({x for x, _ in points}):
        parts.append(f'<line x1="{place_x(x):.1f}" x2="{place_x(x):.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="currentColor"/>'
                     f'<text x="{place_x(x):.0f}" y="{bottom + 17}" text-anchor="middle">{size_text(x)}</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="268" text-anchor="middle" fill-opacity=".75">{html.escape(x_text)}</text>')
    at = left
    for name, line in series.items():
        path = ' '.join(f'{place_x(x):.1f},{place_y(y):.1f}' for x, y in sorted(line) if y > 0)
        dots = ''.join(f'<circle cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="2.8" fill="{color(name)}"><title>{html.escape(name)}: '
                       f'{size_text(x)}, {short(y)}</title></circle>' for x, y in line if y > 0)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color(name)}" stroke-width="2"/>{dots}'
                     f'<rect x="{at}" y="3" width="11" height="11" rx="2" fill="{color(name)}"/>'
                     f'<text x="{at + 15}" y="13">{html.escape(name)}</text>')
        at += 36 + 6.6 * len(name)
    return ''.join(parts) + '</svg>'


def way(target, got):
    """How far the figure is on the way to least and aim: the bar's length is the figure, ticks are the limits."""
    top = max(got, target.least, target.aim) * 1.08
    top = min(top, 3 * max(target.least, target.aim))
    width, x = 240, lambda v: min(v, top) / top * 240
    beats = (lambda limit: got >= limit) if target.more else (lambda limit: got <= limit)
    shade = '#099268' if beats(target.aim) else '#51cf66' if beats(target.least) else '#fa5252'
    marks = ''.join(f'<line x1="{x(v):.1f}" x2="{x(v):.1f}" y1="0" y2="16" stroke="currentColor" stroke-width="{w}"/>'
                    for v, w in ((target.least, 1.2), (target.aim, 2.4)))
    return f'<svg viewBox="0 0 {width} 16" style="height:14px">' \
           f'<rect x="0" y="4" width="{x(got):.1f}" height="8" rx="2" fill="{shade}"/>{marks}</svg>'
