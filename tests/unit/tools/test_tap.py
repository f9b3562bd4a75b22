#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_tap.py: what tools/tap.py makes of the output of a program; nothing that went wrong may look like success. Prints TAP."""
import contextlib
import io
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))
import tap  # noqa: E402

# name, exit code, lines, ended by the time limit, (passed, failed, skipped) expected, prints TAP
CASES = [
    ("all_well", 0, ["1..2", "ok 1 - a", "ok 2 - b"], False, (2, 0, 0), True),
    ("plan_at_the_end", 0, ["ok 1 - a", "1..1"], False, (1, 0, 0), True),
    ("several_plans", 0, ["1..1", "ok 1 - a", "1..1", "ok 1 - b"], False, (2, 0, 0), True),
    ("a_failed_case", 1, ["1..2", "ok 1 - a", "not ok 2 - b"], False, (1, 1, 0), True),
    ("a_failed_case_with_exit_code_0", 0, ["1..1", "not ok 1 - a"], False, (0, 1, 0), True),
    ("a_skipped_case", 0, ["1..2", "ok 1 - a", "ok 2 - b # SKIP no redis"], False, (1, 0, 1), True),
    ("all_skipped", 0, ["1..0 # SKIP no namespace"], False, (0, 0, 1), True),
    ("exit_code_77_without_a_case", 77, ["no toolchain"], False, (0, 0, 1), True),
    ("exit_code_77_after_a_case", 77, ["1..1", "ok 1 - a"], False, (1, 1, 0), True),
    ("ended_too_early", 0, ["1..3", "ok 1 - a"], False, (1, 2, 0), True),
    ("ended_before_its_plan", 0, ["ok 1 - a"], False, (1, 1, 0), True),
    ("more_than_planned", 0, ["1..1", "ok 1 - a", "ok 2 - b"], False, (2, 1, 0), True),
    ("nothing_at_all", 0, [], False, (0, 1, 0), True),
    ("an_empty_plan", 0, ["1..0"], False, (0, 1, 0), True),
    ("crashed_at_its_end", -11, ["1..1", "ok 1 - a"], False, (1, 1, 0), True),
    ("sanitizer_at_its_end", 23, ["1..1", "ok 1 - a"], False, (1, 1, 0), True),
    ("time_limit", -9, ["1..1", "ok 1 - a"], True, (1, 1, 0), True),
    ("plain_well", 0, ["whatever"], False, (1, 0, 0), False),
    ("plain_failed", 3, [], False, (0, 1, 0), False),
    ("plain_skipped", 77, ["no toolchain"], False, (0, 0, 1), False),
    ("plain_time_limit", 0, [], True, (0, 1, 0), False),
]

RACE = ["1..2", "ok 1 - a", *(f"chatter {i}" for i in range(100)), "WARNING: ThreadSanitizer: data race (pid=1)", "  Write of size 8"]


def closing_line_after_a_race():
    """A failure is repeated at the end with its report; the closing line stays the last."""
    test = tap.Test("unit: racy", [])
    result = tap.Result(test, 66, RACE, False)
    with tempfile.NamedTemporaryFile("w", suffix=".totals") as file:
        file.write("\n".join(["3 0 0", "1 1 0", *tap.failure("lane tsan", test, result, RACE), "2 0 1"]) + "\n")
        file.flush()
        shown = {}
        for details in (False, True):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                code = tap.closing(file.name, details)
            shown[details] = printed.getvalue().splitlines()
            if code != 1 or shown[details][-1] != "6 passed, 1 failed, 1 skipped":
                return f"{code}: {shown[details]}"
    names = [line for line in shown[False] if line.startswith("failed: lane tsan, unit: racy: ") and "exit code 66" in line]
    report = [line for line in shown[True] if "data race" in line]
    return None if names and report and len(shown[False]) == 2 else f"{shown}"


def main():
    problem = closing_line_after_a_race()
    bad = problem is not None
    print(f"1..{len(CASES) + 1}")
    print(f"{'not ok' if problem else 'ok'} {len(CASES) + 1} - {closing_line_after_a_race.__name__}")
    if problem:
        print(f"# {problem}")
    for number, (name, code, lines, timed_out, expected, prints_tap) in enumerate(CASES, 1):
        result = tap.Result(tap.Test(name, [], tap=prints_tap), code, lines, timed_out)
        got = (result.passed, result.failed, result.skipped)
        told = bool(result.problems or result.bad) or not prints_tap
        good = got == expected and (told or expected[1] == 0)
        bad += not good
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print(f"# got {got}, expected {expected}: {result.problems}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
