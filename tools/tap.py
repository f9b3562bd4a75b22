#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs test programs, shows one line for each, prints failures in full, and counts every TAP case.

tools/tap.py --build DIR [--suite NAME]... [--interop [REGEX]] [--fuzz SECONDS] [--label TEXT] [--totals FILE]
The programs and their environments are those of meson (`meson introspect --tests`). A program that prints no TAP counts as one case
(exit code 77 is a skip). One that prints TAP has to tell its plan and to run just what is in it. The counts and what failed are added
to FILE, which `tools/tap.py --sum FILE` turns into the names of what failed (with --details, the decisive part of its output too) and
the closing line.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASE = re.compile(r"^(not )?ok\b(?P<rest>.*)$")
SKIP = re.compile(r"#\s*skip\b\s*(?P<reason>.*)$", re.IGNORECASE)
PLAN = re.compile(r"^1\.\.(\d+)")
REPORT = re.compile(r"(WARNING: ThreadSanitizer|ERROR: \w+Sanitizer|runtime error:|^not ok\b|Traceback)")
DETAIL_LINES, DETAILED = 60, 4  # the lines shown of one failure at the end, and of how many


class Test:
    def __init__(self, name, argv, env=None, workdir=None, timeout_s=300, tap=True, parallel=True, live=False):
        self.name, self.argv, self.env, self.workdir = name, argv, env or {}, workdir
        self.timeout_s, self.tap, self.parallel, self.live = timeout_s, tap, parallel, live


class Result:
    """What one program printed, as counts; `problems` are the texts of what failed."""

    def __init__(self, test, code, lines, timed_out):
        self.passed = self.failed = self.skipped = planned = plans = 0
        self.skips, self.problems, self.bad = [], [], []
        for line in lines if test.tap else []:
            plan, case = PLAN.match(line), CASE.match(line)
            if plan:
                planned += int(plan.group(1))
                plans += 1
                if plan.group(1) == "0" and SKIP.search(line):
                    planned += 1  # the whole program counts as one case
                    self.skipped += 1
                    self.skips.append(SKIP.search(line).group("reason"))
            elif case and SKIP.search(case.group("rest")):
                self.skipped += 1
                self.skips.append(case.group("rest").strip(" -"))
            elif case:
                self.failed += bool(case.group(1))
                self.passed += not case.group(1)
                if case.group(1):
                    self.bad.append(case.group("rest").strip(" -"))
        seen = self.passed + self.failed + self.skipped
        if code == 77 and (not test.tap or seen == 0):
            self.skipped, self.skips = 1, [lines[-1] if lines else "exit code 77"]
        elif not test.tap:
            self.passed, self.failed = (1, 0) if code == 0 and not timed_out else (0, 1)
        elif planned > seen:
            self.failed += planned - seen
            self.problems.append(f"{planned - seen} of {planned} planned cases did not run")
        elif seen > planned or (plans == 0 and code == 0):
            self.failed += 1
            self.problems.append(f"{seen} cases ran, {planned} were planned" if plans else "it told no plan: perhaps it ended too early")
        elif seen == 0 and code == 0 and self.skipped == 0:
            self.failed = 1
            self.problems.append("it ran no case")
        if timed_out:
            self.problems.append(f"not finished after {test.timeout_s:.0f} s")
        elif code != 0 and not (code == 77 and self.skipped > 0 and self.passed + self.failed == 0):
            self.problems.append(f"exit code {code}")
        if self.problems and self.failed == 0:
            self.failed = 1


def run(test, scale):
    """Runs one program in a process group of its own; returns its Result, its output and the seconds it took."""
    start, lines = time.monotonic(), []
    process = subprocess.Popen(test.argv, cwd=test.workdir, env={**os.environ, **test.env}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True)
    over = threading.Event()

    def end():
        over.set()
        os.killpg(process.pid, 9)
    timer = threading.Timer(test.timeout_s * scale, end)
    timer.start()
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if test.live and CASE.match(line):
            print("  " + lines[-1], flush=True)
    code = process.wait()
    timer.cancel()
    return Result(test, code, lines, over.is_set()), lines, time.monotonic() - start


def introspect(build, what):
    done = subprocess.run(["meson", "introspect", what, str(build)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def meson_tests(build, suites):
    for t in introspect(build, "--tests"):
        names = {s.split(":")[-1] for s in t["suite"]}
        if not suites or names & set(suites):
            yield Test(f"{'/'.join(sorted(names))}: {t['name']}", t["cmd"], t["env"], t["workdir"] or build, t["timeout"] or 3600,
                       t["protocol"] == "tap", t["is_parallel"])


def fuzz_tests(build, seconds, work):
    """Each fuzz target runs for some seconds on its committed corpus, if it has one, and on what it finds itself."""
    for t in introspect(build, "--targets"):
        if t["type"] == "executable" and "/tests/fuzz/" in t["defined_in"]:
            found = Path(work) / t["name"]
            found.mkdir()
            corpus = Path(t["defined_in"]).parent / "corpus" / t["name"]
            argv = [t["filename"][0], f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=0",
                    f"-artifact_prefix={found}/", str(found)] + ([str(corpus)] if corpus.is_dir() else [])
            yield Test(f"fuzz: {t['name']}", argv, None, work, seconds + 60, tap=False)


def decisive(lines):
    """The part of an output that says most about why it failed: what follows the first report in it, else its end."""
    first = next((i for i, line in enumerate(lines) if REPORT.search(line)), max(len(lines) - DETAIL_LINES, 0))
    return lines[max(first - 5, 0):][:DETAIL_LINES]


def failure(label, test, result, lines):
    """The rows of a failure in a file of totals: `! ` its name and reason, `!> ` a line of its output."""
    reasons = "; ".join(result.bad + result.problems) or "failed"
    return [f"! {label}, {test.name}: {reasons}"] + [f"!> {line}" for line in decisive(lines)]


def report(test, result, lines, took, number, total):
    counts = f"{result.passed} passed" + (f", {result.failed} failed" if result.failed else "") + (
        f", {result.skipped} skipped" if result.skipped else "")
    print(f"[{number}/{total}] {test.name}: {counts} ({took:.1f} s)", flush=True)
    for reason in result.skips:
        print(f"    skipped: {reason}", flush=True)
    if result.failed or result.problems:
        print(f"--- {test.name} FAILED: {'; '.join(result.bad + result.problems)}")
        print("--- command: " + " ".join(map(str, test.argv)))
        print("\n".join(lines))
        print(f"--- end of {test.name}", flush=True)


def run_all(tests, jobs, scale, label):
    """Programs that allow it run side by side, the others one by one afterwards. The sums, and the rows of what failed."""
    done, sums, failures, lock = 0, [0, 0, 0], [], threading.Lock()

    def one(test):
        nonlocal done
        outcome = run(test, scale)
        with lock:
            done += 1
            report(test, *outcome, done, len(tests))
            for i, count in enumerate((outcome[0].passed, outcome[0].failed, outcome[0].skipped)):
                sums[i] += count
            if outcome[0].failed:
                failures.extend(failure(label, test, *outcome[:2]))
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, [t for t in tests if t.parallel]))
    for test in tests:
        if not test.parallel:
            one(test)
    return sums, failures


def everything(options):
    """Runs what was asked for; the sums of (passed, failed, skipped), and the rows of what failed."""
    build = options.build.resolve()
    with tempfile.TemporaryDirectory() as work:
        tests = [] if options.no_programs else list(meson_tests(build, options.suite))
        if options.checks:
            tests += [Test(f"check: {name}", [str(ROOT / "tools" / name), str(build)]) for name in
                      ("check_symbols", "check_includes", "check_style", "check_install")]
        if options.fuzz:
            tests += list(fuzz_tests(build, options.fuzz, work))
        if options.interop:
            only = ["--only", options.interop] if options.interop != "all" else []
            tests.append(Test("interop", [sys.executable, str(ROOT / "tests/interop/run.py"), "--build", str(build), *only],
                              timeout_s=2400, parallel=False, live=True))
        print(f"== {options.label}: {len(tests)} programs", flush=True)
        start = time.monotonic()
        (passed, failed, skipped), failures = run_all(tests, os.cpu_count() or 1, options.scale, options.label)
        if not tests:
            failures = [f"! {options.label}: there is nothing to run"]
            print(failures[0][2:], flush=True)
            failed = 1
        took = time.monotonic() - start
        print(f"== {options.label}: {passed} passed, {failed} failed, {skipped} skipped in {took:.0f} s", flush=True)
    return (passed, failed, skipped), failures


def closing(path, details):
    """Prints what a file of totals says; the closing line is the last."""
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines() if Path(path).exists() else []
    rows = [list(map(int, line.split())) for line in lines if not line.startswith("!")]
    shown = 0
    for line in lines:
        if line.startswith("! "):
            print("failed: " + line[2:])
            shown += 1
        elif line.startswith("!> ") and details and shown <= DETAILED:
            print("    " + line[3:])
    passed, failed, skipped = (sum(row[i] for row in rows) for i in range(3))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 0 if failed == 0 and passed > 0 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path)
    parser.add_argument("--suite", action="append", default=[], help="only tests of this suite; may be repeated")
    parser.add_argument("--no-programs", action="store_true", help="not the test programs of meson")
    parser.add_argument("--checks", action="store_true", help="the check scripts of tools/ too")
    parser.add_argument("--interop", nargs="?", const="all", metavar="REGEX", help="the interop cases too: all, or those with such a name")
    parser.add_argument("--fuzz", type=int, metavar="SECONDS", help="each fuzz target for so long, too")
    parser.add_argument("--scale", type=float, default=1.0, help="stretch time limits by this")
    parser.add_argument("--label", default="tests")
    parser.add_argument("--totals", help="add the counts to this file")
    parser.add_argument("--sum", help="only print what failed and the closing line for this file")
    parser.add_argument("--details", action="store_true", help="with --sum: of each failure, the decisive part of its output too")
    options = parser.parse_args()
    if options.sum:
        return closing(options.sum, options.details)
    os.environ["LP2P_TIME_SCALE"] = str(options.scale)
    passed, failed, skipped = 0, 1, 0  # what counts when the tests cannot even be started
    failures = [f"! {options.label}: the tests could not be run"]
    try:
        (passed, failed, skipped), failures = everything(options)
    finally:
        if options.totals:
            with open(options.totals, "a", encoding="utf-8") as file:
                file.write("\n".join([f"{passed} {failed} {skipped}", *failures]) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    shutil.which("meson") or sys.exit("tap.py: meson is missing (tools/setup)")
    sys.exit(main())
