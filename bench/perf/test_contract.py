#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_contract.py PERF [JS-FOLDER]: the perf program under both contracts, with itself and with js-libp2p, over loopback. TAP.
The unified contract needs redis-server; what is missing is skipped by name."""
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'tests' / 'contract'))
from driver import INTEROP, LIMIT_S, NO_REDIS, OTHER_PEER as FIXED, Cases, Redis, begin, find_node, free_port, no_js, stop  # noqa: E402

PERF = sys.argv[1]
JS = sys.argv[2] if len(sys.argv) > 2 else str(INTEROP / 'js3')
cases = Cases()


def wait_port(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f'nothing listens on port {port}')


def client(port, up, down, limit=60):
    ran = subprocess.run([PERF, '--server-address', f'127.0.0.1:{port}', '--transport', 'tcp', '--upload-bytes', str(up),
                          '--download-bytes', str(down)], capture_output=True, text=True, timeout=limit, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]  # every line has to be JSON


def check_lines(lines, up, down):
    final = lines[-1]
    assert final['type'] == 'final' and (final['uploadBytes'], final['downloadBytes']) == (up, down), final
    assert final['timeSeconds'] > 0
    for one in lines[:-1]:
        assert one['type'] == 'intermediary' and 0.9 < one['timeSeconds'] < 5, one


def old_with_itself():
    port = free_port()
    server = subprocess.Popen([PERF, '--run-server', '--server-address', f'127.0.0.1:{port}'])
    try:
        wait_port(port)
        for up, down in ((1, 1), (0, 0), (10_000_000, 0), (0, 10_000_000), (3_000_001, 70_001)):  # many clients one after another
            check_lines(client(port, up, down), up, down)
        # More than can be moved: killed after two seconds, with a line for each second before.
        endless = subprocess.Popen([PERF, '--server-address', f'127.0.0.1:{port}', '--upload-bytes', '0', '--download-bytes',
                                    str((1 << 53) - 1)], stdout=subprocess.PIPE, text=True)
        told = json.loads(endless.stdout.readline())
        assert told['type'] == 'intermediary' and told['downloadBytes'] > 0, told
        stop(endless)
        check_lines(client(port, 1, 1), 1, 1)
    finally:
        stop(server)


def js_peer(options):
    peer = subprocess.Popen([find_node(), os.path.join(JS, 'bench.mjs'), json.dumps(options)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    return peer, json.loads(peer.stdout.readline())


def old_against_js():
    peer, ready = js_peer({})
    try:
        port = int(re.search(r'/tcp/(\d+)', ready['addrs'][0]).group(1))
        for up, down in ((1, 1), (5_000_000, 0), (0, 5_000_000)):
            check_lines(client(port, up, down), up, down)
    finally:
        stop(peer)


def js_against_old():
    port = free_port()
    server = subprocess.Popen([PERF, '--run-server', 'true', '--server-address', f'127.0.0.1:{port}'])
    peer, _ = js_peer({'dial_only': True})
    try:
        wait_port(port)
        for kind in ('up', 'down'):
            command = {'id': kind, 'cmd': 'load', 'kind': kind, 'seconds': 0.5, 'addr': f'/ip4/127.0.0.1/tcp/{port}/p2p/{FIXED}'}
            peer.stdin.write(json.dumps(command) + '\n')
            peer.stdin.flush()
            answer = json.loads(peer.stdout.readline())
            assert answer['ok'] and answer['bytes'] > 0, answer
    finally:
        stop(peer)
        stop(server)


def percentile(values, p):
    at = p * (len(values) - 1)
    low = int(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (at - low)


def check_yaml(text, counts):
    blocks = re.findall(r'^(upload|download|latency):\n((?:  .*\n)+)', text, re.M)
    assert [b[0] for b in blocks] == ['upload', 'download', 'latency'], text
    for name, body in blocks:
        keys = re.findall(r'^  (\w+): (.*)$', body, re.M)
        assert [k for k, _ in keys] == ['iterations', 'min', 'q1', 'median', 'q3', 'max', 'outliers', 'samples', 'unit'], keys
        got = dict(keys)
        samples = sorted(json.loads(got['samples']))
        assert int(got['iterations']) == counts[name] == len(samples), got
        assert got['unit'] == ('ms' if name == 'latency' else 'Gbps')
        assert abs(float(got['median']) - percentile(samples, 0.5)) <= 0.011, got
        assert len(re.search(r'\.(\d+)', got['median']).group(1)) == (3 if name == 'latency' else 2)


def unified():
    with Redis(late=True) as redis:
        env = dict(os.environ, REDIS_ADDR=f'127.0.0.1:{redis.port}', TEST_KEY='a1b2c3d4', TRANSPORT='tcp', SECURE_CHANNEL='noise',
                   MUXER='yamux', LISTENER_IP='127.0.0.1', UPLOAD_BYTES='3000000', DOWNLOAD_BYTES='3000000', UPLOAD_ITERATIONS='4',
                   DOWNLOAD_ITERATIONS='null', LATENCY_ITERATIONS='7')
        # Both are there before redis is, and before the other.
        dialer, listener = begin([PERF], dict(env, IS_DIALER='true')), begin([PERF], dict(env, IS_DIALER='false'))
        redis.start()
        try:
            out, err = dialer.communicate(timeout=2 * LIMIT_S)
            assert dialer.returncode == 0, err
            check_yaml(out, {'upload': 4, 'download': 10, 'latency': 7})
            assert listener.poll() is None, 'the listener ended by itself'
            listener.terminate()
            assert listener.wait(LIMIT_S) == 143, f'exit code {listener.returncode} after SIGTERM'
        finally:
            stop(dialer)
            stop(listener)
        told, _ = listener.communicate()
        assert told == '', f'the listener wrote to standard output: {told}'


NO_JS = no_js(JS)
cases.run('old contract, with itself', old_with_itself)
cases.run('old contract, against js-libp2p', old_against_js, NO_JS)
cases.run('js-libp2p against the server of the old contract', js_against_old, NO_JS)
cases.run('unified contract, with itself, through redis', unified, NO_REDIS)
sys.exit(cases.end())
