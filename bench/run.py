#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bench: our node, go-libp2p and rust-libp2p under the same load, beside a ceiling. README.md tells what is measured."""
import argparse
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import flame  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402
import scenarios  # noqa: E402
import subjects  # noqa: E402
import table  # noqa: E402

CIPHERS = ('libcrypto', 'libsodium')


class Progress:
    """One line on standard error that is overwritten; plain lines when that is not a terminal."""

    def __init__(self):
        self.live, self.begun, self.last = sys.stderr.isatty(), time.monotonic(), 0.0

    def __call__(self, text, done=None):
        now = time.monotonic()
        text = f'[{now - self.begun:4.0f} s] {text}' + (f' ({done[0]} of {done[1]})' if done else '')
        if self.live:
            print('\r\x1b[K' + text[:150], end='', file=sys.stderr, flush=True)
        elif not done or now - self.last > 5:
            self.last = now
            print(text, file=sys.stderr, flush=True)

    def end(self):
        if self.live:
            print('\r\x1b[K', end='', file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(prog='tools/bench', description='Measures lotus-p2p beside go-libp2p and rust-libp2p.')
    p.add_argument('--quick', action='store_true', help='fewer scenarios and rounds: under two minutes')
    p.add_argument('--scenario', action='append', metavar='NAME', help='only this one (may be repeated; a prefix ending in * fits several)')
    p.add_argument('--list', action='store_true', help='name the scenarios and end')
    p.add_argument('--peers', metavar='LIST', help='comma separated: go, rust; "none": only ours')
    p.add_argument('--variants', action='store_true', help='our node also with one io thread and with a thread for each connection')
    p.add_argument('--rounds', type=int, help='default 5 (quick: 2)')
    p.add_argument('--seconds', type=float, help='of one measurement; default 2 (quick: 0.5)')
    p.add_argument('--connections', type=int, help='of the idle scenario; default 1000 (quick: 200)')
    p.add_argument('--profile', metavar='NAME', help='record our server under this scenario and write a flame graph (SVG)')
    p.add_argument('--compare', nargs='+', metavar='RUN', help='compare a results file with a second one, or with this run')
    p.add_argument('--build', default=os.path.join(subjects.TREE, 'build-bench'), help='build directory (default build-bench)')
    p.add_argument('--no-build', action='store_true', help='take what is in the build directory')
    p.add_argument('--out', default=os.path.join(subjects.TREE, 'artifacts', 'bench'), help='where results go')
    return p.parse_args()


def chosen(a):
    names = list(scenarios.SCENARIOS) + ['runtime']
    if a.scenario:
        picked = [n for n in names if any(n == s or (s.endswith('*') and n.startswith(s[:-1])) for s in a.scenario)]
        if not picked:
            raise SystemExit(f'bench: no scenario fits {", ".join(a.scenario)}; there are {", ".join(names)}')
        return picked
    return [n for n in names if not a.quick or n == 'runtime' or scenarios.SCENARIOS[n][3]]


class Run:
    def __init__(self, a, say):
        self.a, self.say, self.records = a, say, []
        self.seconds = a.seconds or (0.5 if a.quick else 2)
        self.rounds = a.rounds or (2 if a.quick else 5)
        self.context = scenarios.Context(a.build, self.seconds, a.connections or (200 if a.quick else 1000))
        self.failures = []

    def add(self, scenario, subject, round_no, figures):
        for figure, value in figures.items():
            self.records.append({'event': 'figure', 'scenario': scenario, 'subject': subject, 'round': round_no, 'figure': figure,
                                 'value': value})

    def guarded(self, scenario, subject, round_no, run):
        try:
            self.add(scenario, subject, round_no, run())
        except (measure.Failed, OSError, KeyError, ZeroDivisionError) as err:
            text = f'{scenario}, {subject}: {err}'
            if text not in self.failures:
                self.failures.append(text)
            self.records.append({'event': 'failed', 'scenario': scenario, 'subject': subject, 'round': round_no, 'text': str(err)})

    def scenario(self, name, found, round_no, step):
        _, run, only_ours, _ = scenarios.SCENARIOS[name]
        for subject in found:
            if only_ours and not subject.name.startswith('lotus'):
                continue
            self.say(f'round {round_no + 1}: {name}, {subject.name}', step())
            self.guarded(name, subject.name, round_no, lambda: run(self.context, subject))
        if name in scenarios.CEILING:
            mode, wanted = scenarios.CEILING[name]
            for cipher in CIPHERS:
                key = (mode, cipher, round_no)
                if key not in self.ceilings:
                    self.ceilings[key] = scenarios.ceiling(self.context, mode, cipher)
                self.add(name, 'ceiling-' + cipher, round_no, {f: v for f, v in self.ceilings[key].items() if f == wanted})

    def runtime(self, round_no):
        program = measure.Process([os.path.join(self.a.build, 'bench', 'bench_runtime'), str(self.seconds)])
        try:
            while True:
                r = program.next(60)
                if r['event'] == 'end':
                    return
                self.add('runtime ' + r['event'], 'lotus', round_no, {'ns': r['ns']})
        except measure.Failed as err:
            self.failures.append(f'runtime: {err}')
        finally:
            program.stop()

    def all(self, names, found):
        self.ceilings = {}
        total = self.rounds * sum(1 if n == 'runtime' or scenarios.SCENARIOS[n][2] else len(found) for n in names)
        done = [0]

        def step():
            done[0] += 1
            return done[0], total
        for round_no in range(self.rounds):
            for name in names:
                if name == 'runtime':
                    self.say(f'round {round_no + 1}: the runtime alone', step())
                    self.runtime(round_no)
                else:
                    # A B C, then C B A: who is first changes from round to round.
                    self.scenario(name, found if round_no % 2 == 0 else found[::-1], round_no, step)

    def curves(self, found):
        """Message sizes from 16 B to 1 MiB, connections from 1 to 1,000: for the page."""
        sizes, crowds = {}, {}
        for subject in found:
            for size in (16, 128, 1024, 8192, 65536, 1 << 20):
                self.say(f'curve: messages of {size} B, {subject.name}')
                depth = max(2, min(256, (1 << 20) // size))
                try:
                    run = scenarios.simple('messages', lambda r: r, '--size', size, '--depth', depth)
                    r = run(self.context, subject)
                    sizes.setdefault(subject.name, []).append((size, r['bytes'] / r['seconds'] / 1e6))
                except measure.Failed as err:
                    self.failures.append(f'curve, {subject.name}: {err}')
            for crowd in (1, 10, 100, 1000):
                self.say(f'curve: {crowd} connections, {subject.name}')
                try:
                    context = scenarios.Context(self.a.build, 0.2, crowd)
                    figures = scenarios.idle(context, subject)
                    crowds.setdefault(subject.name, []).append((crowd, figures['base_mib'] + figures['pss_kib'] * crowd / 1024))
                except measure.Failed as err:
                    self.failures.append(f'curve, {subject.name}: {err}')
        for text, series in (('size', sizes), ('connections', crowds)):
            for subject, points in series.items():
                self.records += [{'event': 'point', 'curve': text, 'subject': subject, 'x': x, 'y': y} for x, y in points]
        return [('Messages of 16 B to 1 MiB, answered one by one', 'MB/s', sizes), ('Memory over connections', 'MiB PSS', crowds)]


def git_head():
    got = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=subjects.TREE, capture_output=True, text=True, check=False)
    return got.stdout.strip()


def compare_files(paths):
    lines = table.compare(table.load(paths[0]), table.load(paths[1]))
    print('\n'.join(lines) if lines else 'nothing changed beyond the noise')


def write(out, run, curves):
    stamp = time.strftime('%Y%m%d-%H%M%S')
    os.makedirs(out, exist_ok=True)
    paths = [os.path.join(out, f'{stamp}.jsonl'), os.path.join(out, f'{stamp}.html')]
    with open(paths[0], 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(r) + '\n' for r in run.records)
    with open(paths[1], 'w', encoding='utf-8') as file:
        file.write(page.page(run.records, curves))
    return paths


def main():
    a = arguments()
    if a.list:
        for name, (text, _, only_ours, quick) in scenarios.SCENARIOS.items():
            print(f'{name:<18} {text}{" (ours only)" if only_ours else ""}{" [quick]" if quick else ""}')
        return 0
    if a.compare and len(a.compare) == 2:
        compare_files(a.compare)
        return 0
    say = Progress()
    if not a.no_build:
        subjects.build_ours(a.build, say)
    if a.profile:
        return flame.record(a, say)
    wanted = None if a.peers is None else [p for p in a.peers.split(',') if p]
    found, missing = subjects.find(a.build, wanted, a.variants, say)
    run, names = Run(a, say), chosen(a)
    run.records.append(dict(measure.machine(), event='run', rounds=run.rounds, seconds=run.seconds, missing=missing, commit=git_head(),
                            versions=[s.version for s in found], connections=run.context.crowd))
    run.all(names, found)
    curves = [] if a.quick or a.scenario else run.curves(found)
    say.end()
    paths = write(a.out, run, curves)
    print(table.text_table(run.records))
    for text in missing:
        print('left out: ' + text)
    for text in run.failures:
        print('FAILED: ' + text)
    print('\n'.join(paths))
    if a.compare:
        print('compared with ' + a.compare[0] + ':')
        lines = table.compare(table.load(a.compare[0]), run.records)
        print('\n'.join(lines) if lines else 'nothing changed beyond the noise')
    return 1 if run.failures else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
