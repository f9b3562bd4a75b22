#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The bench: our node, go-libp2p, rust-libp2p and js-libp2p under the same load, beside a ceiling. README.md tells what is measured."""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import decisions  # noqa: E402
import flame  # noqa: E402
import measure  # noqa: E402
import page  # noqa: E402
import scenarios  # noqa: E402
import subjects  # noqa: E402
import table  # noqa: E402
import targets  # noqa: E402

SIZES = (16, 128, 1024, 8192, 65536, 1 << 18, 1 << 20)
CROWDS = (1, 10, 100, 1000)


class Progress:
    """One line on standard error that is overwritten; plain lines when that is not a terminal. With the time that has passed
    and the time that is left."""

    def __init__(self):
        self.live, self.begun, self.last, self.end_at = sys.stderr.isatty(), time.monotonic(), 0.0, None

    def passed(self):
        return time.monotonic() - self.begun

    def __call__(self, text):
        left = '' if self.end_at is None else f', {max(0, self.end_at - self.passed()):.0f} s left'
        line = f'[{self.passed():4.0f} s{left}] {text}'
        if self.live:
            print('\r\x1b[K' + line[:150], end='', file=sys.stderr, flush=True)
        elif self.passed() - self.last > 5 or self.last == 0:
            self.last = self.passed()
            print(line, file=sys.stderr, flush=True)

    def end(self):
        if self.live:
            print('\r\x1b[K', end='', file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(prog='tools/bench', description='Measures lotus-p2p beside go-libp2p, rust-libp2p and js-libp2p.')
    p.add_argument('--quick', action='store_true', help='fewer scenarios and rounds: under two minutes')
    p.add_argument('--scenario', action='append', metavar='NAME', help='only this one (may be repeated; a prefix ending in * fits several)')
    p.add_argument('--list', action='store_true', help='name the scenarios and end')
    p.add_argument('--peers', metavar='LIST', help='comma separated: go, rust, js; "none": only ours')
    p.add_argument('--cipher', choices=scenarios.CIPHERS, help='of our node, instead of the one that it takes by itself')
    p.add_argument('--placement', choices=('1io', 'own', 'apart'), help='of our node: one io thread; a thread for each connection; the '
                   'muxer apart from its connection')
    p.add_argument('--minutes', type=float, help='rounds are made until then; default 18 (quick: 1.75)')
    p.add_argument('--rounds', type=int, help='so many rounds, however long they take')
    p.add_argument('--seconds', type=float, help='of one measurement; default 0.8 (quick: 0.4)')
    p.add_argument('--connections', type=int, help='of the idle scenarios; default 1000 (quick: 200)')
    p.add_argument('--profile', metavar='NAME', help='record our server under this scenario and write a flame graph (SVG)')
    p.add_argument('--compare', nargs='+', metavar='RUN', help='compare a results file with a second one, or with this run')
    p.add_argument('--build', default=os.path.join(subjects.TREE, 'build-bench'), help='build directory (default build-bench)')
    p.add_argument('--no-build', action='store_true', help='take what is in the build directory')
    p.add_argument('--out', default=os.path.join(subjects.TREE, 'artifacts', 'bench'), help='where results go')
    return p.parse_args()


def chosen(a):
    names = list(scenarios.SCENARIOS) + [scenarios.RESTING, 'runtime', 'decisions', 'curves']
    if a.scenario:
        picked = [n for n in names if any(n == s or (s.endswith('*') and n.startswith(s[:-1])) for s in a.scenario)]
        if not picked:
            raise SystemExit(f'bench: no scenario fits {", ".join(a.scenario)}; there are {", ".join(names)}')
        return picked
    if a.quick:
        return [n for n in names if n in (scenarios.RESTING, 'runtime') or (n in scenarios.SCENARIOS and scenarios.SCENARIOS[n].quick)]
    return names


class Run:
    def __init__(self, a, say, found, folder):
        self.a, self.say, self.found, self.records, self.failures = a, say, found, [], []
        self.seconds = a.seconds or (0.4 if a.quick else 0.8)
        self.minutes = a.minutes or (1.75 if a.quick else 18)
        crowd = a.connections or (200 if a.quick else 1000)
        self.context = scenarios.Context(a.build, self.seconds, crowd, folder)
        self.short = scenarios.Context(a.build, min(self.seconds, 0.5), crowd, folder)  # decisions and curves
        self.variants = subjects.variants(a.build)
        self.rounds = 0
        self.cipher = None  # of the ceiling

    def keep(self, event, scenario, subject, round_no, figures):
        for figure, value in figures.items():
            self.records.append({'event': event, 'scenario': scenario, 'subject': subject, 'round': round_no, 'figure': figure,
                                 'value': value})

    def guarded(self, event, scenario, subject, round_no, run):
        """A scenario that fails is named in the report, and the others go on."""
        try:
            self.keep(event, scenario, subject, round_no, run())
        except (measure.Failed, OSError, KeyError, ZeroDivisionError) as err:
            text = f'{scenario}, {subject}: {err}'
            if text not in self.failures:
                self.failures.append(text)
            self.records.append({'event': 'failed', 'scenario': scenario, 'subject': subject, 'round': round_no, 'text': str(err)})

    # ---- the ceiling

    def choose_cipher(self):
        """The fastest one on this machine is the ceiling's."""
        rates = {}
        for _ in range(2):
            for cipher in scenarios.CIPHERS:
                self.say(f'ceiling: how fast is {cipher}')
                rate = scenarios.ceiling(self.context, 'up', cipher, 0.25)['rate']
                rates[cipher] = max(rates.get(cipher, 0), rate)
        self.cipher = max(rates, key=rates.get)
        return {cipher: round(rate, 1) for cipher, rate in rates.items()}

    def ceilings(self, names, round_no):
        """Once in each round for all scenarios that are compared with it."""
        got = {}
        for name in [n for n in names if n in scenarios.CEILING]:
            mode, kept = scenarios.CEILING[name]
            if mode not in got:
                self.say(f'round {round_no + 1}: ceiling, {mode}')
                got[mode] = scenarios.ceiling(self.context, mode, self.cipher)
            self.keep('figure', name, 'ceiling', round_no, {f: v for f, v in got[mode].items() if f in kept})

    # ---- rounds

    def scenario(self, name, round_no):
        s = scenarios.SCENARIOS[name]
        who = [f for f in self.found if f.ours or not s.ours] + [self.variants[v] for v in s.variants]
        # A B C, then C B A: who is first changes from round to round.
        for subject in who if round_no % 2 == 0 else who[::-1]:
            self.say(f'round {round_no + 1}: {name}, {subject.name}')
            self.guarded('figure', name, subject.name, round_no, lambda: s.run(self.context, subject))

    def alone(self, name, program, seconds, round_no):
        """A program that measures parts of our node without a node: one line for each case."""
        self.say(f'round {round_no + 1}: the {name} alone')
        program = measure.Process([os.path.join(self.a.build, 'bench', program), str(seconds)])
        try:
            while True:
                r = program.next(60)
                event = r.pop('event')
                if event == 'end':
                    return
                self.keep('figure', f'{name} {event}', 'lotus', round_no, r)
        except measure.Failed as err:
            self.failures.append(f'{name}: {err}')
        finally:
            program.stop()

    def runtime(self, round_no):
        self.alone('runtime', 'bench_runtime', min(0.3, self.seconds), round_no)
        self.alone('channel', 'bench_channels', 0.3, round_no)

    def one_round(self, names, round_no):
        for name in names:
            if name == 'runtime' and round_no < 5:
                self.runtime(round_no)
            elif name in scenarios.SCENARIOS and round_no < scenarios.SCENARIOS[name].rounds_max:
                self.scenario(name, round_no)
        self.ceilings(names, round_no)

    def all(self, names):
        """First what is measured once, then rounds until the time is over."""
        self.say.end_at = None if self.a.rounds else self.say.passed() + self.minutes * 60
        end_at = self.say.end_at
        self.records[0]['ceiling_rates'] = self.choose_cipher()
        self.records[0]['ceiling_cipher'] = self.cipher
        if scenarios.RESTING in names:
            self.resting()
        if 'decisions' in names:
            self.decide(lambda: not end_at or self.say.passed() < 0.2 * end_at)
        if 'curves' in names:
            self.curves(lambda: not end_at or self.say.passed() < 0.35 * end_at)
        self.records[0]['once_s'] = round(self.say.passed())
        took = 0.0
        while self.rounds < (self.a.rounds or 9) and (self.rounds < 1 or self.a.rounds or self.say.passed() + took < end_at):
            begun = self.say.passed()
            self.one_round(names, self.rounds)
            took, self.rounds = self.say.passed() - begun, self.rounds + 1
        self.records[0]['rounds'] = self.rounds

    def resting(self):
        seconds = 10 if self.a.quick else 60
        try:
            for subject, figures in scenarios.resting(self.context, self.found, seconds, self.say).items():
                self.keep('figure', scenarios.RESTING, subject, 0, figures)
        except (measure.Failed, OSError) as err:
            self.failures.append(f'{scenarios.RESTING}: {err}')

    def decide(self, is_time):
        """Up to three rounds."""
        for round_no in range(3):
            if round_no > 0 and not is_time():
                return
            decisions.one_round(self.short, self.variants, round_no,
                                lambda scenario, subject, run: self.guarded('decision', scenario, subject, round_no, run), self.say)

    # ---- curves

    def point(self, curve, subject, x, run):
        try:
            for figure, y in run().items():
                self.records.append({'event': 'point', 'curve': curve, 'figure': figure, 'subject': subject, 'x': x, 'y': y})
        except (measure.Failed, OSError, KeyError, ZeroDivisionError) as err:
            self.failures.append(f'curve, {x}, {subject}: {err}')

    def size_point(self, subject, size):
        run = scenarios.simple('messages', lambda r: r, '--size', size, '--depth', max(2, min(256, (1 << 20) // size)))
        r = run(self.short, subject)
        return {'rate': r['bytes'] / r['seconds'] / 1e6, 'cpu_us': r['server_cpu_s'] / r['count'] * 1e6}

    def crowd_point(self, subject, crowd):
        figures = scenarios.idle(self.short, subject, crowd, scenarios.crowd_pings)
        return {'per_s': figures['per_s'], 'p50_us': figures['p50_us'],
                'total_mib': figures['base_mib'] + figures['pss_kib'] * crowd / 1024}

    def curves(self, is_time):
        """Message sizes from 16 B to 1 MiB, connections from 1 to 1,000."""
        for round_no in range(2 if is_time() else 1):
            for size in SIZES:
                for subject in self.found if round_no == 0 else self.found[::-1]:
                    self.say(f'curve: messages of {size} B, {subject.name}')
                    self.point('size', subject.name, size, lambda: self.size_point(subject, size))
        for crowd in CROWDS:
            for subject in self.found + [self.variants['lotus-own']]:
                self.say(f'curve: {crowd} connections, {subject.name}')
                self.point('connections', subject.name, crowd, lambda: self.crowd_point(subject, crowd))


def git_head():
    got = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=subjects.TREE, capture_output=True, text=True, check=False)
    return got.stdout.strip()


def compare_files(paths):
    lines = table.compare(table.load(paths[0]), table.load(paths[1]))
    print('\n'.join(lines) if lines else 'nothing changed beyond the noise')


def write(out, records):
    stamp = time.strftime('%Y%m%d-%H%M%S')
    os.makedirs(out, exist_ok=True)
    paths = [os.path.join(out, f'{stamp}.jsonl'), os.path.join(out, f'{stamp}.html')]
    with open(paths[0], 'w', encoding='utf-8') as file:
        file.writelines(json.dumps(r) + '\n' for r in records)
    with open(paths[1], 'w', encoding='utf-8') as file:
        file.write(page.page(records))
    return paths


def report(run):
    head = run.records[0]
    print(table.text_table(run.records))
    print(f'\n± is half of the distance between the extremes; {head["rounds"]} rounds of {head["seconds"]} s; '
          f'ceiling: {head["ceiling_cipher"]} ({", ".join(f"{c} {r:.0f}" for c, r in head["ceiling_rates"].items())} MB/s); '
          f'ours: {head["cipher"]}')
    for text in (targets.text_table(run.records), decisions.text_table(run.records)):
        if text:
            print(text)
    for text in head['missing']:
        print('left out: ' + text)
    for text in run.failures:
        print('FAILED: ' + text)


def own_cipher(context, subject):
    """Which one our node takes on this machine."""
    server = context.start(subject)
    try:
        return server.do('info')['cipher']
    finally:
        server.stop()


def main():
    a = arguments()
    if a.list:
        for name, s in scenarios.SCENARIOS.items():
            print(f'{name:<18} {s.group}: {s.text}{" (ours only)" if s.ours else ""}{" [quick]" if s.quick else ""}')
        print(f'{scenarios.RESTING:<18} {scenarios.TEXTS[scenarios.RESTING]} [quick]\nruntime            the runtime alone [quick]')
        print('decisions          placements and ciphers of our node\ncurves             message sizes and numbers of connections')
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
    found, missing = subjects.find(a.build, wanted, say, not a.no_build)
    if a.cipher:
        found[0].options['cipher'] = a.cipher
    if a.placement:
        found[0].options.update(subjects.variants(a.build)['lotus-' + a.placement].options)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(a, say, found, folder)
        run.records.append(dict(measure.machine(), event='run', rounds=0, seconds=run.seconds, missing=missing, commit=git_head(),
                                versions=[s.version for s in found], connections=run.context.crowd, options=found[0].options,
                                cipher=own_cipher(run.context, found[0])))
        try:
            run.all(chosen(a))
        except KeyboardInterrupt:
            if run.rounds == 0:
                raise
            run.failures.append('interrupted')
    say.end()
    paths = write(a.out, run.records)
    report(run)
    print('\n'.join(paths))
    if a.compare:
        print('compared with ' + a.compare[0] + ':')
        lines = table.compare(table.load(a.compare[0]), run.records)
        print('\n'.join(lines) if lines else 'nothing changed beyond the noise')
    return 1 if run.failures else 0


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, interrupt)  # what was measured until then is still reported
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
