#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the interop cases and prints TAP. See README.md; `run.py --help` tells the options."""
import argparse
import itertools
import os
import re
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cases_broadcast
import cases_browser
import cases_dht
import cases_listen
import cases_matrix
import cases_mdns
import cases_peers
import cases_dial
from peers import Daemon, Failed, Peer, program, why_not
from proc import Process

MODULES = [cases_peers, cases_dial, cases_listen, cases_dht, cases_broadcast, cases_browser, cases_matrix, cases_mdns]


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


def group_of(case):
    """Cells of the matrix share their peers, as long as line, direction and key type stay the same; every other case is by itself."""
    parts = case[0].split(", ")
    return (parts[0], parts[-1]) if case[0].startswith("matrix:") else case[0]


class Run:
    """Some workers take groups of cases, one after the other. They share nothing but the certificates and the machine: every worker has
    a context, so peers, of its own; every process takes free ports; the peers were built before."""

    def __init__(self, build, only):
        self.build, self.only = build, only
        self.lock, self.local = threading.Lock(), threading.local()
        self.contexts, self.count, self.failed = [], 0, 0

    def cases(self):
        """In the same order for each worker, and bound to its context."""
        if not hasattr(self.local, "cases"):
            context = Context(self.build)
            self.local.context = context
            self.local.cases = [c for m in MODULES for c in m.cases(context) if re.search(self.only, c[0])]
            with self.lock:
                self.contexts.append(context)
        return self.local.cases

    def groups(self):
        """Places in the list that belong together."""
        cases = self.cases()
        return [list(places) for _, places in itertools.groupby(range(len(cases)), lambda i: group_of(cases[i]))]

    def tell(self, name, problem=None, note=""):
        with self.lock:
            self.count += 1
            self.failed += problem is not None
            print(f"{'not ok' if problem else 'ok'} {self.count} - {name} # {note}", flush=True)
            if problem:
                print("\n".join("#   " + line for line in problem.split("\n")), flush=True)

    def group(self, places):
        for place in places:
            name, lines, run = self.cases()[place]
            skip = next((reason for reason in (line() if callable(line) else why_not(line) for line in lines) if reason), None)
            if skip:
                self.tell(name, note=f"SKIP {skip}")
                continue
            start = time.monotonic()
            problem = run_case(self.local.context, run)
            self.tell(name, problem, f"{time.monotonic() - start:.1f} s")

    def all(self, jobs):
        """1 when something failed."""
        groups = self.groups()
        print(f"1..{len(self.cases())}", flush=True)
        for line in {line for case in self.cases() for line in case[1] if not callable(line)}:
            why_not(line)  # builds what has to be built, before two want it
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(self.group, groups))
        for end in (end for context in self.contexts for end in context.endings):
            end()
        return 1 if self.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path(__file__).resolve().parents[2] / "build",
                        help="where lp2pd and lp2p are")
    parser.add_argument("--only", default="", help="a regular expression: only the cases whose name it finds")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="cases that run side by side")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and end")
    options = parser.parse_args()
    run = Run(options.build.resolve(), options.only)
    if options.list:
        print("\n".join(name for name, _, _ in run.cases()))
        return 0
    missing = [name for name in ("lp2pd", "lp2p") if not program(options.build, name).exists()]
    if missing and options.only != "peers work":
        print(f"1..1\nnot ok 1 - interop\n#   {' and '.join(missing)} not in {options.build}: run tools/build first")
        return 1
    return run.all(max(options.jobs, 1))


if __name__ == "__main__":
    sys.exit(main())
