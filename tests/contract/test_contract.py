#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_contract.py TRANSPORT [REGEX]: the transport program under both spellings of its contract, through a real redis server, with itself
and, over loopback, with js-libp2p (tests/interop/js3/transport.mjs) and go-libp2p (tests/interop/go/contract.go) both ways. TAP.
What is missing is skipped by name. With REGEX only the cases whose names have it."""
import json
import os
import re
import signal
import shutil
import subprocess
import sys
import time

from driver import INTEROP, LIMIT_S, NO_REDIS, OTHER_PEER, Cases, Redis, begin, find_node, no_js, stop

from certs import certs  # of the interop tests: `driver` has made their folder known
from toolchains import argv, why_not

OURS = [sys.argv[1]]
JS = INTEROP / 'js3'
NAMES = {  # in the order: role, redis, transport, security, muxer, ip, time limit
    'old': ('is_dialer', 'redis_addr', 'transport', 'security', 'muxer', 'ip', 'test_timeout_seconds'),
    'unified': ('IS_DIALER', 'REDIS_ADDR', 'TRANSPORT', 'SECURE_CHANNEL', 'MUXER', 'LISTENER_IP', 'TEST_TIMEOUT_SECS'),
}
KEY = {'old': 'listenerAddr', 'unified': 'a1b2c3d4_listener_multiaddr'}
CASES = (('tcp', 'noise', 'yamux'), ('ws', 'tls', 'yamux'), ('wss', 'noise', 'mplex'), ('tcp', 'tls', 'mplex'))
# What ends with an error: a name, whether it dials, the combination, what has to be said, the time limit.
REFUSED = (
    *((f'{name} is refused by name', False, (name, None, None), f'unsupported transport.*{name}', LIMIT_S)
      for name in ('quic-v1', 'webtransport', 'webrtc-direct', 'smoke')),
    ('no secure channel', True, ('tcp', None, 'yamux'), 'secure channel.*not set', LIMIT_S),
    ('no such secure channel', True, ('tcp', 'plain', 'yamux'), 'secure channel: plain', LIMIT_S),
    ('no such muxer', True, ('tcp', 'noise', 'spdy'), 'muxer: spdy', LIMIT_S),
    ('a dialer without a listener', True, CASES[0], 'nobody has pushed', 1),
    ('a listener that nobody ends', False, CASES[0], 'time limit', 1),
)
cases = Cases(sys.argv[2] if len(sys.argv) > 2 else '')


def environment(spelling, dialer, redis, case, ip='127.0.0.1', seconds=LIMIT_S, **other):
    values = ('true' if dialer else 'false', f'127.0.0.1:{redis.port}', *case, ip, str(seconds))
    own = {name: value for name, value in zip(NAMES[spelling], values) if value is not None}
    contract = {'TEST_KEY': 'a1b2c3d4', 'DEBUG': 'false'} if spelling == 'unified' else {'version': 'c-v0.1'}
    strange = {name for names in NAMES.values() for name in names} | {'TEST_KEY', 'DEBUG'}
    rest = {name: value for name, value in os.environ.items() if name not in strange}
    return {**rest, **contract, **own, **other}


def check_result(spelling, text):
    """Exactly the lines of the contract, and nothing else."""
    if spelling == 'old':
        got = json.loads(text)
        assert text.count('\n') == 1 and set(got) == {'handshakePlusOneRTTMillis', 'pingRTTMilllis'}, text
        both, ping = got['handshakePlusOneRTTMillis'], got['pingRTTMilllis']
    else:
        found = re.fullmatch(r'latency:\n  handshake_plus_one_rtt: (\d+\.\d+)\n  ping_rtt: (\d+\.\d+)\n  unit: ms\n', text)
        assert found, text
        both, ping = float(found[1]), float(found[2])
    # Milliseconds: a handshake is more than 0.1 of them, and the whole less than the time that the test has.
    assert 0 < ping < LIMIT_S * 1000 and 0.1 < both < LIMIT_S * 1000, text
    return ping < both


def pair(*args, **options):
    """A ping is shorter than a handshake with a ping; of a program that was not let run for a moment that may once not be true."""
    assert any(one_pair(*args, **options) for _ in range(5)), 'five times the ping took longer than the whole'


def one_pair(spelling, case, dialer_argv, listener_argv, ip='127.0.0.1', late=False):
    shown = case[0] == 'wss' and listener_argv is not OURS
    extra = {'TLS_CERT': str(certs().cert), 'TLS_KEY': str(certs().key)} if shown else {}
    with Redis(late) as redis:
        dialer = begin(dialer_argv, environment(spelling, True, redis, case, ip))
        listener = begin(listener_argv, environment(spelling, False, redis, case, ip, **extra))
        try:
            first = ''
            if late:
                first = listener.stderr.readline()  # it listens, and looks for redis in vain
                assert '/p2p/' in first and '/0.0.0.0/' not in first, first
                redis.start()
            out, err = dialer.communicate(timeout=LIMIT_S)
            assert dialer.returncode == 0, f'the dialer: {err}'
            assert listener.poll() is None, 'the listener ended by itself'
            in_order = check_result(spelling, out)
            if listener_argv is OURS:  # its own handler, which a container's first process needs
                listener.terminate()
                assert listener.wait(LIMIT_S) == 128 + signal.SIGTERM, f'exit code {listener.returncode} after SIGTERM'
        finally:
            stop(dialer)
            stop(listener)
            told, said = listener.communicate()
        assert told == '', f'the listener wrote to standard output: {told}'
        assert listener_argv is not OURS or '/p2p/' in first + said, f'the listener did not say where: {said}'
        return in_order


def refused(spelling, dialer, case, said, seconds=LIMIT_S, pushed=None, redis=None, env=None):
    """Ends with an error, a reason on standard error and nothing on standard output. What is too slow for a short time limit gets a
    longer one: it may have ended before it came to what it has to refuse."""
    with redis or Redis() as own:
        if pushed:
            own.ask('RPUSH', KEY[spelling], pushed)
        while True:
            ran = subprocess.run(OURS, env={**environment(spelling, dialer, own, case, seconds=seconds), **(env or {})},
                                 capture_output=True, text=True, timeout=LIMIT_S, check=False)
            assert ran.returncode > 0 and ran.stdout == '', f'exit code {ran.returncode}, {ran.stdout}, {ran.stderr}'
            assert 'Sanitizer' not in ran.stderr, ran.stderr
            if re.search(said, ran.stderr):
                return
            assert isinstance(seconds, int) and 4 * seconds < LIMIT_S, f'expected {said} in: {ran.stderr}'
            seconds *= 4


def wrong_peer():
    """A listener of ours, whose address is told with another peer id."""
    case = CASES[0]
    with Redis() as redis:
        listener = begin(OURS, environment('old', False, redis, case))
        try:
            addr = redis.ask('BLPOP', KEY['old'], str(LIMIT_S)).split('\n')[1]
            redis.ask('RPUSH', KEY['old'], f'{addr.split("/p2p/")[0]}/p2p/{OTHER_PEER}')
            ran = subprocess.run(OURS, env=environment('old', True, redis, case), capture_output=True, text=True, timeout=LIMIT_S,
                                 check=False)
            assert ran.returncode > 0 and ran.stdout == '' and 'another identity' in ran.stderr, \
                f'{ran.returncode}, {ran.stdout}, {ran.stderr}'
        finally:
            stop(listener)


def not_agreed():
    """A dialer that wants another secure channel than the listener has."""
    with Redis() as redis:
        listener = begin(OURS, environment('unified', False, redis, ('tcp', 'noise', 'yamux')))
        try:
            ran = subprocess.run(OURS, env=environment('unified', True, redis, ('tcp', 'tls', 'yamux')), capture_output=True, text=True,
                                 timeout=LIMIT_S, check=False)
            assert ran.returncode > 0 and ran.stdout == '' and '/ip4/' in ran.stderr, f'{ran.returncode}, {ran.stdout}, {ran.stderr}'
        finally:
            stop(listener)


def leftovers():
    """What an earlier run left under the key, even of another type, does not matter."""
    with Redis() as redis:
        redis.ask('SET', KEY['unified'], 'rubbish')
        listener = begin(OURS, environment('unified', False, redis, CASES[0]))
        try:
            end = time.monotonic() + LIMIT_S
            while redis.ask('TYPE', KEY['unified']) != 'list':
                assert time.monotonic() < end and listener.poll() is None, 'nothing was pushed'
                time.sleep(0.05)
            assert redis.ask('LLEN', KEY['unified']) == '1'
            assert re.match(r'/ip4/127\.0\.0\.1/tcp/\d+/p2p/\w+$', redis.ask('LINDEX', KEY['unified'], '0'))
        finally:
            stop(listener)


# The other implementations: what starts them, the muxers and carriers that they have here, and why they cannot run.
OTHERS = (
    ('js-libp2p', lambda: [find_node(), str(JS / 'transport.mjs')], lambda case: True, NO_REDIS or no_js(JS)),
    ('go-libp2p', lambda: [*argv('go'), 'contract'], lambda case: case[0] != 'wss' and case[2] == 'yamux', NO_REDIS or why_not('go')),
)
for spelling in NAMES:
    for case in CASES:
        what = f'{spelling} spelling, {", ".join(case)}'
        cases.run(f'{what}: with itself', lambda: pair(spelling, case, OURS, OURS), NO_REDIS)
        for other, theirs, has, why in OTHERS:
            missing = why or (None if shutil.which('openssl') or case[0] != 'wss' else 'openssl is not installed')
            if has(case):
                cases.run(f'{what}: we dial {other}', lambda: pair(spelling, case, OURS, theirs()), missing)
                cases.run(f'{what}: {other} dials us', lambda: pair(spelling, case, theirs(), OURS), missing)
    cases.run(f'{spelling} spelling, redis comes last, any address',
              lambda: pair(spelling, CASES[0], OURS, OURS, ip=None, late=True), NO_REDIS)
    for what, dialer, case, said, seconds in REFUSED:
        cases.run(f'{spelling} spelling, {what}', lambda: refused(spelling, dialer, case, said, seconds), NO_REDIS)
    cases.run(f'{spelling} spelling, no redis',
              lambda: refused(spelling, True, CASES[0], 'no answer from redis', 1, redis=Redis(late=True)), NO_REDIS)
cases.run('an address without a peer id',
          lambda: refused('old', True, CASES[0], 'without a peer id', pushed='/ip4/127.0.0.1/tcp/1'), NO_REDIS)
cases.run('an address where nobody is',
          lambda: refused('old', True, CASES[0], '/tcp/1', pushed=f'/ip4/127.0.0.1/tcp/1/p2p/{OTHER_PEER}'), NO_REDIS)
cases.run('a role that is none', lambda: refused('old', True, CASES[0], 'neither dialer nor listener', env={'is_dialer': 'yes'}), NO_REDIS)
cases.run('a time limit that is none', lambda: refused('old', True, CASES[0], 'a number', seconds='soon'), NO_REDIS)
cases.run('the answer of another peer', wrong_peer, NO_REDIS)
cases.run('another secure channel than the listener has', not_agreed, NO_REDIS)
cases.run('what an earlier run left in redis', leftovers, NO_REDIS)
sys.exit(cases.end())
