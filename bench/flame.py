# SPDX-License-Identifier: MIT
"""Flame graphs: perf records our server under a scenario, and the stacks become one SVG."""
import html
import os
import re
import shutil
import subprocess
import time

import scenarios
import subjects

LOADS = {  # scenario: arguments of the common client
    'up-1': ['up'], 'up-16': ['up', '--parallel', '16'], 'down-1': ['down'], 'down-16': ['down', '--parallel', '16'], 'ping': ['ping'],
    'echo': ['messages', '--depth', '1', '--size', '32'], 'messages': ['messages'], 'streams': ['streams', '--parallel', '64'],
    'lotus': ['lotus', '--parallel', '16'], 'connections-1': ['connections'], 'connections-16': ['connections', '--parallel', '16'],
    'find-node': ['findnode', '--parallel', '8'], 'put-value': ['put', '--parallel', '8'], 'get-value': ['get', '--parallel', '8'],
}


def fold(text):
    """Output of perf script: {(thread, outermost, .., innermost): samples}."""
    stacks, frames, comm = {}, [], None
    for line in text.splitlines() + ['']:
        if line and not line[0].isspace():
            comm = re.sub(r'-\d+$', '', line.split()[0])
        elif line.strip():
            found = re.match(r'\s*[0-9a-f]+ (.*) \((.*)\)$', line)
            name, where = found.groups() if found else (line.strip(), '')
            # A library without symbols is known by its name only.
            frames.append('[' + os.path.basename(where) + ']' if name == '[unknown]' else name.split('+0x')[0])
        elif frames:
            key = (comm,) + tuple(reversed(frames))
            stacks[key] = stacks.get(key, 0) + 1
            frames = []
    return stacks


def self_time(stacks):
    """[(part, function)] by the samples in which the function itself ran."""
    total, own = sum(stacks.values()) or 1, {}
    for stack, n in stacks.items():
        own[stack[-1]] = own.get(stack[-1], 0) + n
    return sorted(((n / total, name) for name, n in own.items()), reverse=True)


def within(stacks):
    """[(part, function)] by the samples in which the function was anywhere on the stack."""
    total, over = sum(stacks.values()) or 1, {}
    for stack, n in stacks.items():
        for name in set(stack[1:]):
            over[name] = over.get(name, 0) + n
    return sorted(((n / total, name) for name, n in over.items()), reverse=True)


def tree_of(stacks):
    root = {'name': 'all', 'n': 0, 'sub': {}}
    for stack, n in stacks.items():
        root['n'] += n
        node = root
        for name in stack:
            node = node['sub'].setdefault(name, {'name': name, 'n': 0, 'sub': {}})
            node['n'] += n
    return root


def svg(stacks, title):
    root, width, line, boxes, deepest = tree_of(stacks), 1200, 17, [], 0

    def put(node, x, depth):
        nonlocal deepest
        w = node['n'] / root['n'] * width
        if w < 0.4:
            return
        deepest = max(deepest, depth)
        boxes.append((x, depth, w, node['name'], node['n']))
        for sub in sorted(node['sub'].values(), key=lambda s: s['name']):
            put(sub, x, depth + 1)
            x += sub['n'] / root['n'] * width
    put(root, 0, 0)
    height = (deepest + 1) * line + 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="monospace" font-size="11">',
           f'<rect width="100%" height="100%" fill="#fff"/><text x="6" y="20" font-size="15">{html.escape(title)}</text>']
    for x, depth, w, name, n in boxes:
        y = height - (depth + 1) * line - 6
        hue = 20 + sum(name.encode()) % 35 if not name.startswith('lp2p') else 170 + sum(name.encode()) % 40
        label = name if len(name) * 6.7 < w else name[:max(0, int(w / 6.7) - 2)] + '..' if w > 30 else ''
        out.append(f'<g><title>{html.escape(name)} {n / root["n"] * 100:.1f} %</title>'
                   f'<rect x="{x:.1f}" y="{y}" width="{max(w - .4, .3):.1f}" '
                   f'height="{line - 1}" fill="hsl({hue} 75% 66%)"/><text x="{x + 3:.1f}" y="{y + 12}">{html.escape(label)}</text></g>')
    return '\n'.join(out) + '\n</svg>\n'


def record(a, say):
    name = a.profile
    if name not in LOADS:
        raise SystemExit(f'bench: no profile of {name}; there are {", ".join(LOADS)}')
    perf = shutil.which('perf')
    if perf is None:
        raise SystemExit('bench: a profile needs perf (package linux-perf)')
    context = scenarios.Context(a.build, a.seconds or 4, 0)
    subject = subjects.Subject('lotus', [os.path.join(a.build, 'bench', 'bench_node')], '')
    kad = name in ('find-node', 'put-value', 'get-value')
    server = context.start(subject, **(scenarios.KAD if kad else {}))
    os.makedirs(a.out, exist_ok=True)
    data = os.path.join(a.out, f'{name}.perf')
    try:
        if name == 'find-node':
            scenarios.fill_table(context, server)
        elif name == 'get-value':
            scenarios.put_first(context, server)
        say(f'recording {name}')
        client = context.load(server, *LOADS[name])
        time.sleep(0.3)
        subprocess.run([perf, 'record', '-q', '-e', 'cpu-clock', '-F', '1999', '--call-graph', 'fp', '-p', str(server.pid),
                        '-o', data, '--', 'sleep', str(max(0.5, context.seconds - 0.6))], check=True, stderr=subprocess.DEVNULL)
        result = client.next(30)
        client.stop()
    finally:
        server.stop()
    text = subprocess.run([perf, 'script', '-i', data, '-F', 'comm,ip,sym,dso'], capture_output=True, text=True, check=True).stdout
    os.unlink(data)
    stacks = fold(text)
    say.end()
    if not stacks:
        raise SystemExit('bench: perf recorded no samples (is kernel.perf_event_paranoid above 1?)')
    path = os.path.join(a.out, f'{name}.svg')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(svg(stacks, f'{name}: {sum(stacks.values())} samples of our server'))
    print(f'{name}: server {result["server_cpu_s"]:.2f} s of CPU in {result["seconds"]:.2f} s; where it ran:')
    for part, function in self_time(stacks)[:22]:
        print(f'  {part * 100:5.1f} %  {function}')
    print('and under which of our functions:')
    for part, function in [w for w in within(stacks) if w[1].startswith('lp2p') or w[1].startswith('on_')][:22]:
        print(f'  {part * 100:5.1f} %  {function}')
    print(path)
    return 0
