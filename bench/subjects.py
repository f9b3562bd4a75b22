# SPDX-License-Identifier: MIT
"""Who is measured: our node and the peers, each built if its toolchain is there, else left out by name."""
import json
import os
import re
import shutil
import subprocess

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INTEROP = os.path.join(TREE, 'tests', 'interop')
BUILT = os.path.join(TREE, 'build-peers')  # the go and rust peers, shared with the interop tests


class Subject:
    def __init__(self, name, argv, version, options=None):
        self.name, self.argv, self.version, self.options = name, argv, version, options or {}
        self.ours = name.startswith('lotus')


def run(argv, cwd, env=None):
    return subprocess.run(argv, cwd=cwd, env=dict(os.environ, **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def build_ours(build, say):
    """A release build in a directory of its own."""
    if not os.path.exists(os.path.join(build, 'build.ninja')):
        say('installing what the build needs, if anything is missing')
        made = run([os.path.join(TREE, 'tools', 'setup')], TREE)
        if made.returncode != 0:
            raise SystemExit('bench: tools/setup failed\n' + made.stdout[-2000:])
        say('configuring the release build')
        made = run(['meson', 'setup', '-Dbuildtype=release', '-Dtests=false', build], TREE)
        if made.returncode != 0:
            raise SystemExit('bench: meson setup failed\n' + made.stdout[-2000:])
    say('building')
    targets = ['bench/bench_' + name for name in ('load', 'node', 'ceiling', 'runtime', 'channels', 'instr')]
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


def go_peer(build, say, make):
    out, here = os.path.join(BUILT, 'go-peer'), os.path.join(INTEROP, 'go')
    version = 'go-libp2p ' + version_in(os.path.join(here, 'go.mod'), 'libp2p/go-libp2p v')
    if not make and os.path.exists(out):
        return Subject('go', [out], version), None
    if shutil.which('go') is None:
        return None, 'go-libp2p: no Go toolchain'
    say('building the go peer')
    made = run(['nice', 'go', 'build', '-p', '2', '-o', out, '.'], here)
    if made.returncode != 0:
        return None, 'go-libp2p: the peer does not build: ' + made.stdout.strip().splitlines()[-1]
    return Subject('go', [out], version), None


def rust_peer(build, say, make):
    target, here = os.environ.get('LP2P_RUST_TARGET', os.path.join(BUILT, 'rust')), os.path.join(INTEROP, 'rust')
    out = os.path.join(target, 'release', 'rust-peer')
    with open(os.path.join(here, 'Cargo.toml'), encoding='utf-8') as file:
        found = re.search(r'^libp2p = .*?"=?([0-9.]+)"', file.read(), re.M)
    subject = Subject('rust', [out], 'rust-libp2p ' + (found.group(1) if found else 'unknown'))
    if not make and os.path.exists(out):
        return subject, None
    if shutil.which('cargo') is None:
        return None, 'rust-libp2p: no Rust toolchain'
    say('building the rust peer (some minutes the first time)')
    made = run(['nice', 'cargo', 'build', '--release', '-j', '2'], here, {'CARGO_TARGET_DIR': target})
    if made.returncode != 0:
        return None, 'rust-libp2p: the peer does not build: ' + made.stdout.strip().splitlines()[-1]
    return subject, None


def js_peer(_build, say, make):
    here = os.path.join(INTEROP, 'js3')
    if not os.path.exists(os.path.join(here, 'node_modules', 'libp2p')):
        if not make or shutil.which('npm') is None:
            return None, 'js-libp2p: no npm'
        say('installing the packages of the js peer')
        made = run(['npm', 'ci', '--no-progress'], here)
        if made.returncode != 0:
            return None, 'js-libp2p: npm ci failed: ' + made.stdout.strip().splitlines()[-1]
    carried = [os.path.join(here, 'node_modules', f'node-linux-{arch}', 'bin', 'node') for arch in ('x64', 'arm64')]
    node = next((path for path in carried if os.path.exists(path)), shutil.which('node'))
    if node is None:
        return None, 'js-libp2p: no node'
    version = run([node, '--version'], here).stdout.strip()
    if not version.startswith('v') or int(version[1:].split('.')[0]) < 22:
        return None, f'js-libp2p: node {version} is older than 22'
    with open(os.path.join(here, 'node_modules', 'libp2p', 'package.json'), encoding='utf-8') as file:
        libp2p = json.load(file)['version']
    return Subject('js', [node, os.path.join(here, 'bench.mjs')], f'js-libp2p {libp2p} (node {version})'), None


PEERS = {'go': go_peer, 'rust': rust_peer, 'js': js_peer}

# The decisions of the design: what is decided, its name, and how our node is started otherwise. The first is as shipped.
VARIANTS = (
    ('as shipped', 'lotus', {}),
    ('placement: one io thread for all connections', 'lotus-1io', {'io_threads': 1}),
    ('placement: a thread for each connection', 'lotus-own', {'io_threads': 0}),
    ('placement: the muxer apart from its connection', 'lotus-apart', {'muxer': 'apart'}),
    ('cipher: libgcrypt', 'lotus-libgcrypt', {'cipher': 'libgcrypt'}),
    ('cipher: libcrypto from 1 KiB up', 'lotus-libcrypto', {'cipher': 'libcrypto'}),
    ('cipher: libsodium', 'lotus-libsodium', {'cipher': 'libsodium'}),
    ('memory: nothing given back after the start', 'lotus-untrimmed', {'trim': False}),
)


def variants(build):
    """Our node in each of its variants: {name: subject}."""
    ours = [os.path.join(build, 'bench', 'bench_node')]
    return {name: Subject(name, ours, text, options) for text, name, options in VARIANTS}


def find(build, wanted, say, build_peers=True):
    """The subjects, ours first, and the sentences about those that are left out. build_peers: False takes what was built before."""
    ours = [os.path.join(build, 'bench', 'bench_node')]
    found, missing = [Subject('lotus', ours, 'lotus-p2p ' + version_in(os.path.join(TREE, 'actors', 'p2p.h'), 'LP2P_VERSION_STRING'))], []
    for name, make in PEERS.items():
        if wanted is not None and name not in wanted:
            continue
        subject, why = make(build, say, build_peers)
        if subject is None:
            missing.append(why)
        else:
            found.append(subject)
    return found, missing
