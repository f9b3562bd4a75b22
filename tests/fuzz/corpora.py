#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Refreshes the committed corpora of the fuzz targets.

tests/fuzz/corpora.py BUILD [--seconds N] [--work DIR] [--only REGEX] [--keep]
BUILD is a build folder made with -Dfuzz=true. Each target runs for N seconds (0: not at all), two at a time, on the seeds of seeds.py,
on its committed corpus and on what earlier runs left in DIR; then the smallest inputs that together reach every edge that was found
replace the committed corpus (within FILES_MAX and BYTES_MAX; --keep: they do not). An input that crashes, leaks, takes longer than 10 s
or more than 2 GB is left in DIR/found and told, and the exit code is 1. Such an input goes into the corpus by hand with its mend,
under a name like `kept-why.bin`: those are never replaced.
"""
import argparse
import hashlib
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FILES_MAX = 48
BYTES_MAX = 32_000
HERE = Path(__file__).resolve().parent


def targets(build):
    for path in sorted((build / "tests" / "fuzz").glob("*/fuzz_*")):
        if path.is_file() and path.suffix == "":
            yield path, HERE / path.parent.name / "corpus" / path.name


def run(program, folders, work, *flags):
    command = ["nice", "-n", "19", program, f"-artifact_prefix={work}/found/{program.name}-", "-timeout=10", "-rss_limit_mb=2048",
            *flags, *folders]
    return subprocess.run(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            check=False)


def explore(program, committed, work, seconds):
    """Fuzzes; the text of what was found, or nothing."""
    corpus = work / program.name
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus, work / "seeds" / program.name] + ([committed] if committed.is_dir() else [])
    if seconds == 0:
        return ""
    done = run(program, folders, work, f"-max_total_time={seconds}", "-reload=0", "-max_len=8192")
    return "" if done.returncode == 0 else done.stderr


def features(program, folders, work):
    """What each input reaches, as (size, file, features), smallest first."""
    control, merged = work / f"{program.name}.control", work / f"{program.name}.merged"
    control.unlink(missing_ok=True)
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    run(program, [merged, *folders], work, "-set_cover_merge=1", f"-merge_control_file={control}")
    lines = control.read_text().splitlines()
    names, reached = lines[2:2 + int(lines[0])], {}
    for line in lines[2 + len(names):]:
        words = line.split()
        if words[0] == "FT":
            reached[int(words[1])] = set(map(int, words[2:]))
    control.unlink()
    shutil.rmtree(merged)
    return sorted((Path(names[i]).stat().st_size, Path(names[i]), f) for i, f in reached.items())


def choose(inputs, kept):
    """Few small inputs: first every edge (a feature is an edge and how often, in eight steps), then as much else as there is room."""
    chosen, covered, files, size = [], set(), len(kept), sum(p.stat().st_size for p in kept)
    for shift in (3, 0):
        covered = {f >> shift for _, _, reached in chosen for f in reached}
        left = [(n, path, {f >> shift for f in reached}, reached) for n, path, reached in inputs]
        while left:
            left = [(n, path, fresh - covered, reached) for n, path, fresh, reached in left if fresh - covered]
            left = [one for one in left if size + one[0] <= BYTES_MAX]
            if not left or files == FILES_MAX:
                break
            n, path, fresh, reached = max(left, key=lambda one: len(one[2]) / (one[0] + 4000))
            chosen.append((n, path, reached))
            covered |= fresh
            files, size = files + 1, size + n
    return [path for _, path, _ in chosen], {f >> 3 for _, _, reached in chosen for f in reached}


def replace(program, committed, work):
    kept = sorted(committed.glob("kept-*"))
    folders = [work / program.name, work / "seeds" / program.name] + ([committed] if committed.is_dir() else [])
    inputs = features(program, folders, work)
    chosen, reached = choose(inputs, kept)
    content = {hashlib.sha1(data).hexdigest()[:16] + ".bin": data for data in (p.read_bytes() for p in chosen)}
    committed.mkdir(parents=True, exist_ok=True)
    for old in committed.iterdir():
        if old not in kept:
            old.unlink()
    for name, data in content.items():
        (committed / name).write_bytes(data)
    edges = len({f >> 3 for _, _, reached in inputs for f in reached})
    return f"{len(content) + len(kept)} of {len(inputs)} inputs, {sum(map(len, content.values()))} bytes, {len(reached)} of {edges} edges"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--work", type=Path, default=Path("build-corpora"))
    parser.add_argument("--only", default="", help="only targets whose names hold this regular expression")
    parser.add_argument("--keep", action="store_true", help="leave the committed corpora as they are")
    options = parser.parse_args()
    work = options.work.resolve()
    (work / "found").mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, HERE / "seeds.py", work / "seeds"], check=True)

    def one(target):
        program, committed = target
        problem = explore(program, committed, work, options.seconds)
        told = "" if options.keep else replace(program, committed, work)
        print(f"{program.name}: {told}{' FOUND SOMETHING' if problem else ''}\n{problem[-6000:]}".rstrip(), flush=True)
        return problem == ""
    chosen = [t for t in targets(options.build.resolve()) if re.search(options.only, t[0].name)]
    with ThreadPoolExecutor(2) as pool:
        return 0 if all(list(pool.map(one, chosen))) else 1


if __name__ == "__main__":
    sys.exit(main())
