# SPDX-License-Identifier: MIT
"""Where each line of peers comes from: js from npm packages, go and rust built once from their registries where the toolchain is.

`argv(line)` starts a peer of that line; `why_not(line)` says why it cannot run here."""
import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parents[1] / "build-peers"  # shared by all lanes and the bench
BUILD_LIMIT_S = 1500


@functools.lru_cache(maxsize=None)
def find_node():
    """Node 22 or newer: the machine's own, or the one that the npm package in js3 carries."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for node in (shutil.which("node"), HERE / f"js3/node_modules/node-linux-{machine}/bin/node"):
        if node and Path(node).exists():
            version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
            if version.startswith("v") and int(version[1:].split(".")[0]) >= 22:
                return str(node)
    return None


def say(text):
    print(f"# {text}", flush=True)


def build(name, argv, folder, env=None):
    """None when it was built, else the last line of why not."""
    say(f"building the {name} peer (minutes the first time)")
    try:
        made = subprocess.run(argv, cwd=HERE / folder, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=BUILD_LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"{name}: the peer was not built within {BUILD_LIMIT_S} s"
    if made.returncode == 0:
        return None
    lines = made.stdout.strip().splitlines() or ["it says nothing"]
    return f"{name}: the peer does not build: {lines[-1]}"


@functools.lru_cache(maxsize=None)
def go_peer():
    """(argv, None) or (None, reason)."""
    if shutil.which("go") is None:
        return None, "go: no Go toolchain"
    out = BUILT / "go-peer"
    problem = build("go", ["go", "build", "-p", "2", "-o", out, "."], "go")
    return (None, problem) if problem else ([out], None)


@functools.lru_cache(maxsize=None)
def rust_peer():
    if shutil.which("cargo") is None:
        return None, "rust: no Rust toolchain"
    target = Path(os.environ.get("LP2P_RUST_TARGET", BUILT / "rust"))
    problem = build("rust", ["cargo", "build", "--release", "-j", "2"], "rust", {"CARGO_TARGET_DIR": str(target)})
    return (None, problem) if problem else ([target / "release/rust-peer"], None)


@functools.lru_cache(maxsize=None)
def js_peer(line):
    if not (HERE / line / "node_modules/libp2p").exists():
        return None, f"{line}: its npm packages are not installed (tools/setup test)"
    node = find_node()
    return ([node, HERE / line / "peer.mjs"], None) if node else (None, "no Node 22 or newer (tools/setup test)")


def find(line):
    return {"go": go_peer, "rust": rust_peer}.get(line, lambda: js_peer(line))()


def why_not(line):
    """Why this line of peers cannot run here; None when it can."""
    return find(line)[1]


def argv(line):
    return find(line)[0]


if __name__ == "__main__":  # builds what can be built and says what cannot
    for each in sys.argv[1:] or ("js1", "js3", "go", "rust"):
        print(f"# {each}: {why_not(each) or 'ready'}")
