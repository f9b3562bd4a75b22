#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_public.py ROOT HEADER: the program in README.md is the one that is compiled, and the header works alone; prints TAP."""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT, HEADER = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
PROGRAM = "#include <lotus/p2p.h>\nint main(void)\n{\n    return lp2p_version()[0] == 0;\n}\n"


def same_program():
    shown = re.search(r"^```c\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    if not shown:
        return "README.md has no C program"
    program = (ROOT / "tools/examples/quickstart.c").read_text().split("\n", 1)[1]  # without the licence line
    return None if shown.group(1) == program else "README.md shows another program"


def compiles(compiler, standard, suffix):
    def check():
        if not shutil.which(compiler):
            return "SKIP"
        with tempfile.TemporaryDirectory() as work:
            (Path(work) / "include/lotus").mkdir(parents=True)
            shutil.copy(HEADER, Path(work) / "include/lotus/p2p.h")
            source = Path(work) / f"program.{suffix}"
            source.write_text(PROGRAM)
            done = subprocess.run([compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                                   "-I", f"{work}/include", source], capture_output=True, text=True, check=False)
            return done.stderr or None if done.returncode else None
    return check


def main():
    checks = [("README.md shows the program that is compiled and run", same_program),
              ("the header is C99", compiles("cc", "c99", "c")), ("the header is C11", compiles("cc", "c11", "c")),
              ("the header is C++17", compiles("c++", "c++17", "cc"))]
    bad = 0
    print(f"1..{len(checks)}")
    for number, (name, check) in enumerate(checks, 1):
        problem = check()
        skip = " # SKIP no compiler" if problem == "SKIP" else ""
        failed = bool(problem) and not skip
        bad += failed
        print(f"{'not ok' if failed else 'ok'} {number} - {name}{skip}")
        print("".join(f"# {line}\n" for line in (problem or "").splitlines() if failed), end="")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
