#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the interop cases and prints TAP. See README.md; `run.py --help` tells the options."""
import argparse
import re
import sys
import time
import traceback
from pathlib import Path

import cases_browser
import cases_dht
import cases_listen
import cases_matrix
import cases_peers
import cases_dial
from peers import Daemon, Failed, Peer, program, why_not
from proc import Process

MODULES = [cases_peers, cases_dial, cases_listen, cases_dht, cases_browser, cases_matrix]


class Context:
    """What a case needs; all that it started is ended after it."""

    def __init__(self, build):
        self.build = build
        self.started = []
        self.watched = []  # peers that outlive the case
        self.endings = []

    def peer(self, line, **options):
        self.started.append(Peer(line, **options))
        return self.started[-1]

    def daemon(self, *args, **options):
        self.started.append(Daemon(self.build, *args, **options))
        return self.started[-1]

    def process(self, name, argv):
        self.started.append(Process(name, argv))
        return self.started[-1]

    def watch(self, process):
        """Its last lines are shown if the case fails; it is not ended with it."""
        self.watched.append(process)

    def at_end(self, run):
        self.endings.append(run)

    def end(self):
        """Ends everything that the case started; the first complaint of one of our daemons is raised at the end."""
        complaint = None
        for process in self.started:
            try:
                process.finish() if isinstance(process, Daemon) else process.kill()
            except Failed as err:
                complaint = complaint or err
        self.started, self.watched = [], []
        if complaint:
            raise complaint


def run_case(context, run):
    """None when it passed, else why it did not."""
    problem = None
    try:
        run()
    except Failed as err:
        problem = str(err)
    except OSError as err:
        problem = f"{err.strerror}: {err.filename}"
    except Exception:  # a bug of the driver is a failed case, not the end of the run
        problem = traceback.format_exc()
    seen = [f"{p.name}: {p.tail()}" for p in context.started + context.watched] if problem else []
    try:
        context.end()
    except Failed as err:
        problem = problem or str(err)
    return "\n".join([problem, *seen]) if problem else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parents[2] / "build",
                        help="where lp2pd and lp2p are")
    parser.add_argument("--only", default="", help="a regular expression: only the cases whose name it finds")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and end")
    options = parser.parse_args()
    context = Context(options.build.resolve())
    cases = [c for m in MODULES for c in m.cases(context) if re.search(options.only, c[0])]
    if options.list:
        print("\n".join(name for name, _, _ in cases))
        return 0
    missing = [name for name in ("lp2pd", "lp2p") if not program(options.build, name).exists()]
    if missing and options.only != "peers work":
        print(f"1..1\nnot ok 1 - interop\n#   {' and '.join(missing)} not in {options.build}: run tools/build first")
        return 1
    failed = 0
    print(f"1..{len(cases)}", flush=True)
    for number, (name, lines, run) in enumerate(cases, 1):
        skip = next((reason for reason in (line() if callable(line) else why_not(line) for line in lines) if reason), None)
        if skip:
            print(f"ok {number} - {name} # SKIP {skip}", flush=True)
            continue
        start = time.monotonic()
        problem = run_case(context, run)
        took = f"{time.monotonic() - start:.1f} s"
        print(f"{'not ok' if problem else 'ok'} {number} - {name} # {took}", flush=True)
        if problem:
            failed += 1
            print("\n".join("#   " + line for line in problem.split("\n")), flush=True)
    for end in context.endings:
        end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
