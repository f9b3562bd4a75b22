# SPDX-License-Identifier: MIT
"""Who is measured: our node and the peers, each built if its toolchain is there, else left out by name."""
import os
import re
import shutil
import subprocess

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INTEROP = os.path.join(TREE, 'tests', 'interop')


class Subject:
    def __init__(self, name, argv, version, options=None):
        self.name, self.argv, self.version, self.options = name, argv, version, options or {}


def run(argv, cwd, env=None):
    return subprocess.run(argv, cwd=cwd, env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def build_ours(build, say):
    """A release build in a directory of its own."""
    if not os.path.exists(os.path.join(build, 'build.ninja')):
        say('configuring the release build')
        made = run(['meson', 'setup', '-Dbuildtype=release', '-Dtests=false', build], TREE)
        if made.returncode != 0:
            raise SystemExit('bench: meson setup failed\n' + made.stdout[-2000:])
    say('building')
    targets = ['bench/bench_load', 'bench/bench_node', 'bench/bench_ceiling', 'bench/bench_runtime', 'bench/bench_instr']
    made = run(['ninja', '-C', build] + targets, TREE)
    if made.returncode != 0:
        raise SystemExit('bench: the build failed\n' + made.stdout[-3000:])


def version_in(path, marker):
    try:
        with open(path, encoding='utf-8') as file:
            for line in file:
                if marker in line:
                    return line.split()[-1].strip('"')
    except OSError:
        pass
    return 'unknown'


def go_peer(build, say):
    if shutil.which('go') is None:
        return None, 'go-libp2p: no Go toolchain'
    out, here = os.path.join(build, 'go-peer'), os.path.join(INTEROP, 'go')
    say('building the go peer')
    made = run(['nice', 'go', 'build', '-p', '2', '-o', out, '.'], here)
    if made.returncode != 0:
        return None, 'go-libp2p: the peer does not build: ' + made.stdout.strip().splitlines()[-1]
    return Subject('go', [out], 'go-libp2p ' + version_in(os.path.join(here, 'go.mod'), 'libp2p/go-libp2p v')), None


def rust_peer(build, say):
    if shutil.which('cargo') is None:
        return None, 'rust-libp2p: no Rust toolchain'
    target, here = os.environ.get('LP2P_RUST_TARGET', os.path.join(build, 'rust')), os.path.join(INTEROP, 'rust')
    say('building the rust peer (some minutes the first time)')
    made = run(['nice', 'cargo', 'build', '--release', '-j', '2'], here, {'CARGO_TARGET_DIR': target})
    if made.returncode != 0:
        return None, 'rust-libp2p: the peer does not build: ' + made.stdout.strip().splitlines()[-1]
    with open(os.path.join(here, 'Cargo.toml'), encoding='utf-8') as file:
        found = re.search(r'^libp2p = .*?"=?([0-9.]+)"', file.read(), re.M)
    version = found.group(1) if found else 'unknown'
    return Subject('rust', [os.path.join(target, 'release', 'rust-peer')], 'rust-libp2p ' + version), None


PEERS = {'go': go_peer, 'rust': rust_peer}


def find(build, wanted, variants, say):
    """The subjects, ours first, and the sentences about those that are left out."""
    ours = [os.path.join(build, 'bench', 'bench_node')]
    found, missing = [Subject('lotus', ours, 'lotus-p2p ' + version_in(os.path.join(TREE, 'actors', 'p2p.h'), 'LP2P_VERSION_STRING'))], []
    if variants:
        found += [Subject('lotus-1io', ours, 'lotus-p2p, one io thread', {'io_threads': 1}),
                  Subject('lotus-own', ours, 'lotus-p2p, a thread for each connection', {'io_threads': 0})]
    for name, make in PEERS.items():
        if wanted and name not in wanted:
            continue
        subject, why = make(build, say)
        if subject is None:
            missing.append(why)
        else:
            found.append(subject)
    return found, missing
