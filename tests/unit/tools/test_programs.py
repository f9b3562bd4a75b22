#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_programs.py LP2PD LP2P: options, exit codes, output and signals of the two programs; prints TAP."""
import base64
import contextlib
import json
import os
import queue
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

LP2PD, LP2P = sys.argv[1:3]
DEADLINE_S = 30 * float(os.environ.get("LP2P_TIME_SCALE", "1"))
LOOPBACK = "/ip4/127.0.0.1/tcp/0"
OTHER_PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


def run(program, *args, code=0, env=None):
    """(standard output, standard error) of a program that has to end with this code."""
    done = subprocess.run([program, *args], capture_output=True, text=True, timeout=2 * DEADLINE_S, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})}, check=False)
    assert done.returncode == code, f"{args}: exit code {done.returncode}, expected {code}; {done.stdout[-500:]} {done.stderr[-500:]}"
    return done.stdout, done.stderr


def result(*args, code=0):
    """The last line of an lp2p command, and those before it; every line is JSON."""
    out, _ = run(LP2P, *args, "--json", code=code)
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines and lines[-1]["event"] == ("result" if code == 0 else "error"), lines
    return lines[-1], lines[:-1]


class Daemon:
    def __init__(self, *args, listen=LOOPBACK, env=None):
        listening = ["--listen", listen] if listen else []
        self.process = subprocess.Popen([LP2PD, *listening, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.lines, self.errors = queue.Queue(), queue.Queue()
        for pipe, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.errors)):
            threading.Thread(target=lambda p=pipe, q=lines: [q.put(line.rstrip("\n")) for line in p] + [q.put(None)], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def wait(self, *words, lines=None):
        """The next line with all these words."""
        while True:
            line = (lines or self.lines).get(timeout=DEADLINE_S)
            assert line is not None, f"it ended before a line with {words}"
            if all(word in line for word in words):
                return line

    def address(self):
        line = self.wait("listening")
        return json.loads(line)["address"] if line.startswith("{") else line.split()[-1]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


def undocumented(program, *command):
    """The options that --help tells and the man page does not."""
    page = (Path(__file__).parents[3] / "tools/man" / f"{program}.1").read_text().replace("\\-", "-")
    told = re.findall(r"^  (--[a-z-]+)", run(LP2PD if program == "lp2pd" else LP2P, *command, "--help")[0], re.M)
    return [option for option in told if not re.search(re.escape(option) + r"(?![a-z-])", page)]


def help_and_version():
    for program, name in ((LP2PD, "lp2pd"), (LP2P, "lp2p")):
        out, err = run(program, "--help")
        assert out.startswith(f"usage: {name}") and "Exit status" in out and not err
        assert run(program, "--version")[0].split()[0] == name
    assert not undocumented("lp2pd"), undocumented("lp2pd")
    for command in ("ping", "identify", "echo", "perf", "send", "listen", "announce", "discover", "dht put", "dht get", "dht provide",
                    "dht findprovs", "dht findpeer", "dht closest", "key gen", "key show"):
        out, _ = run(LP2P, *command.split(), "--help")
        assert out.startswith(f"usage: lp2p {command}"), out
        assert not undocumented("lp2p", *command.split()), f"{command}: {undocumented('lp2p', *command.split())} not in lp2p(1)"


def wrong_usage():
    """The wrong option or argument is named, with what was expected."""
    cases = [(LP2P, [], "command"), (LP2P, ["fly"], "fly"), (LP2P, ["dht"], "put, get"), (LP2P, ["dht", "fly"], "fly"),
             (LP2P, ["key", "eat"], "gen or show"), (LP2P, ["--fly"], "--fly"), (LP2P, ["ping"], "missing"),
             (LP2P, ["ping", "/ip4/300.0.0.1/tcp/1"], "component 1"),
             (LP2P, ["ping", "nonsense"], "nonsense"), (LP2P, ["ping", "a", "b"], "b"), (LP2P, ["ping", "a", "-n"], "-n"),
             (LP2P, ["ping", "a", "-n", "many"], "many"), (LP2P, ["ping", "a", "-n", "0"], "1 to"), (LP2P, ["ping", "a", "--fly"], "--fly"),
             (LP2P, ["ping", "a", "--up", "1"], "--up"), (LP2P, ["ping", "a", "--json=1"], "takes no value"),
             (LP2P, ["ping", "a", "--muxers", "spdy"], "spdy"), (LP2P, ["ping", "a", "--security", "plaintext"], "plaintext"),
             (LP2P, ["send", "a", "--payload", "{"], "JSON"), (LP2P, ["echo", "a", "--bytes", "1x"], "1x"),
             (LP2P, ["dht", "get", "k"], "--peer"), (LP2P, ["dht", "get", "hex:0", "--peer", "x"], "hex:"), (LP2P, ["listen"], "--listen"),
             (LP2P, ["announce", "a/b", "c/d", "1", "--peer", "x"], "'/'"), (LP2P, ["announce", "a", "b", "{", "--peer", "x"], "JSON"),
             (LP2PD, ["x"], "x"), (LP2PD, ["--listen", "x"], "multiaddr"), (LP2PD, ["--bootstrap", "/ip4/1.2.3.4/tcp/1"], "/p2p/ID"),
             (LP2PD, ["--dht", "maybe"], "server, client or off"), (LP2PD, ["--min-connections", "9", "--max-connections", "3"], "at most"),
             (LP2PD, ["--max-connections", "0"], "1 to"), (LP2PD, ["--io-threads", "few"], "per-connection"),
             (LP2PD, ["--serve", "tea"], "echo, perf"), (LP2PD, ["--log-level", "loud"], "debug"),
             (LP2PD, ["--ephemeral", "--data-dir", "/x"], "excludes"), (LP2PD, ["--dht-protocol", "kad"], "full protocol id"),
             (LP2PD, ["--ephemeral", "--agent", "a", "--agent", "b"], "twice"), (LP2PD, ["--ephemeral", "--agent", ""], "1 to")]
    for program, args, word in cases:
        out, err = run(program, *args, code=2)
        assert word in err and "usage:" in err and not out, f"{args}: {err}"
        if args:
            line = json.loads(run(program, *args, "--json", code=2)[0])
            assert line["event"] == "error" and line["ok"] is False and line["code"] == "usage", line
            assert word in line["text"], f"{args}: {line}"


def keys():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "key"
        made, _ = result("key", "gen", str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_size == 68
        assert "private_key_base64" not in made and made["type"] == "Ed25519" and made["file"] == str(file)
        shown, _ = result("key", "show", str(file))
        assert {k: v for k, v in shown.items() if k != "command"} == {k: v for k, v in made.items() if k != "command"}
        assert made["peer"] in run(LP2P, "key", "show", str(file))[0]
        assert result("key", "gen", str(file), code=1)[0]["code"] == "EEXIST"
        assert result("key", "show", str(file) + "x", code=1)[0]["code"] == "ENOTFOUND"
        printed, _ = result("key", "gen")
        secret = base64.b64decode(printed["private_key_base64"])
        assert len(secret) == 68 and secret[:4] == bytes.fromhex("08011240") and len(base64.b64decode(printed["public_key_base64"])) == 36
        for kind, name, start in [("ed25519", "Ed25519", "12D3"), ("secp256k1", "Secp256k1", "16Uiu2"),
                                  ("ecdsa", "ECDSA", "Qm"), ("rsa", "RSA", "Qm")]:
            typed = Path(folder) / kind
            made, _ = result("key", "gen", str(typed), "--key-type", kind)
            assert made["type"] == name and made["peer"].startswith(start) and made["peer_cid"].startswith("bafz"), made
            assert result("key", "show", str(typed))[0]["public_key_base64"] == made["public_key_base64"]
        assert "dsa" in run(LP2P, "key", "gen", "--key-type", "dsa", code=2)[1]
        file.write_bytes(b"nonsense")
        assert "Ed25519" in result("key", "show", str(file), code=1)[0]["detail"]
        file.write_bytes(secret)
        file.chmod(0o644)
        out, err = run(LP2P, "key", "show", str(file))
        assert "0600" in err and printed["peer"] in out
        with Daemon("--key", str(file), "--json") as daemon:
            assert printed["peer"] in daemon.address()


def daemon_ends():
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
        with Daemon("--ephemeral", "--json") as daemon:
            address = daemon.address()
            ready = json.loads(daemon.wait("ready"))
            assert address.endswith("/p2p/" + ready["peer"]) and address.startswith("/ip4/127.0.0.1/tcp/")
            assert daemon.end(number) == 0
            assert json.loads(daemon.wait("stopped")) == {"event": "stopped", "reason": name}


def daemon_identity():
    """The same identity after a restart, in a directory of its own, by default in the user's state directory."""
    with tempfile.TemporaryDirectory() as folder:
        ids = []
        for _ in range(2):
            with Daemon("--data-dir", f"{folder}/a/b") as daemon:
                ids.append(daemon.address().rsplit("/", 1)[1])
        assert ids[0] == ids[1]
        assert stat.S_IMODE((Path(folder) / "a/b/identity.key").stat().st_mode) == 0o600
        assert stat.S_IMODE((Path(folder) / "a/b").stat().st_mode) == 0o700
        with Daemon("--ephemeral", env={"XDG_STATE_HOME": folder, "HOME": folder}) as daemon:
            assert daemon.address().rsplit("/", 1)[1] not in ids
        assert sorted(os.listdir(folder)) == ["a"], "an ephemeral node left something behind"
        if os.geteuid() != 0:
            with Daemon(env={"XDG_STATE_HOME": folder}) as daemon:
                daemon.address()
            assert (Path(folder) / "lotus-p2p/identity.key").exists()
        run(LP2PD, "--data-dir", "/proc/nothing/here", "--listen", LOOPBACK, code=1)


def daemon_environment():
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        env.write_text("P2P_MIN_CONNECTIONS=1\nP2P_MAX_CONNECTIONS=2\n")
        with Daemon("--ephemeral", "--env", str(env)) as daemon:
            daemon.address()
        assert "No such file" in run(LP2PD, "--ephemeral", "--env", str(env) + "x", code=1)[1]
        assert "warning" not in run(LP2PD, "--ephemeral", "--env", str(env), "--print-config")[1]
        env.write_text("P2P_MAX_CONECTIONS=2\n")  # misspelled: told, with the names that are read
        with Daemon("--ephemeral", "--env", str(env)) as daemon:
            daemon.wait("warning", str(env), "P2P_MIN_CONNECTIONS", "P2P_MAX_CONNECTIONS", "P2P_PRIVATE_KEY_BASE64", lines=daemon.errors)
            daemon.wait("ready")


def settings(*args, env=None):
    """{name: ([values], source)} as --print-config --json tells them; the text tells the same."""
    out, _ = run(LP2PD, *args, "--print-config", "--json", env=env)
    text = run(LP2PD, *args, "--print-config", env=env)[0].splitlines()
    lines, seen = [json.loads(line) for line in out.splitlines()], {}
    assert len(text) == len(lines), (text, lines)
    for line, words in zip(lines, text):
        assert line["event"] == "setting" and words.startswith(line["name"] + " "), (line, words)
        assert line["name"] == "json" or (words.endswith(" " + line["source"]) and f" {line.get('value', '-')} " in words), (line, words)
        seen.setdefault(line["name"], ([], line["source"]))[0].extend([line["value"]] if "value" in line else [])
    return seen


def daemon_prints_its_configuration():
    """Each option, its value and where that comes from; nothing is started or made, and no secret is told."""
    with tempfile.TemporaryDirectory() as folder:
        data, env, psk = f"{folder}/data", Path(folder) / "env", Path(folder) / "psk"
        seen = settings("--data-dir", data)
        options = {line.split()[0][2:] for line in run(LP2PD, "--help")[0].splitlines() if line.startswith("  --")}
        assert options - set(seen) == {"help", "version", "print-config"} and not set(seen) - options, (options, seen)
        assert seen["dht"] == (["client"], "default") and seen["security"] == (["noise,tls"], "default")
        assert seen["muxers"] == (["yamux"], "default") and seen["announce"] == ([], "default")
        assert "/ip4/0.0.0.0/tcp/4001" in seen["listen"][0] and seen["listen"][1] == "default"
        assert seen["data-dir"] == ([data], "command line") and f"{data}/identity.key" in seen["key"][0][0]
        assert not os.path.exists(data), "it made something"

        secret = base64.b64encode(base64.b64decode(result("key", "gen")[0]["private_key_base64"])).decode()
        env.write_text(f"P2P_MIN_CONNECTIONS=20\nP2P_MAX_CONNECTIONS=100\nP2P_PRIVATE_KEY_BASE64={secret}\n")
        psk.write_text("/key/swarm/psk/1.0.0/\n/base16/\n" + "5a" * 32 + "\n")
        args = ["--env", str(env), "--psk-file", str(psk), "--max-connections", "80", "--listen", LOOPBACK, "--listen",
                "/ip4/127.0.0.1/tcp/0/ws", "--mdns", "--security", "tls", "--muxers", "mplex,yamux", "--serve", "echo", "--trusted-proxies",
                "10.0.0.0/8,::1", "--io-threads", "3", "--key-type", "ed25519", "--agent", "me/1", "--bootstrap",
                f"/ip4/192.0.2.7/tcp/4001/p2p/{OTHER_PEER}", "--trim-grace", "7", "--dht", "off", "--log-level", "debug"]
        seen = settings(*args)
        given = "command line"
        for name, wanted in {"min-connections": (["20"], "env file"), "max-connections": (["80"], given), "mdns": (["yes"], given),
                             "listen": ([LOOPBACK, "/ip4/127.0.0.1/tcp/0/ws"], given), "security": (["tls"], given),
                             "muxers": (["mplex,yamux"], given), "serve": (["echo"], given), "io-threads": (["3"], given),
                             "trusted-proxies": (["10.0.0.0/8,::1/128"], given), "agent": (["me/1"], given), "dht": (["off"], given),
                             "trim-grace": (["7"], given), "log-level": (["debug"], given), "env": ([str(env)], given),
                             "bootstrap": ([f"/ip4/192.0.2.7/tcp/4001/p2p/{OTHER_PEER}"], given)}.items():
            assert seen[name] == wanted, (name, seen[name])
        assert seen["key"][0][0].startswith("12D3KooW") and seen["key"][1] == "env file"
        assert len(seen["psk-file"][0][0]) == 32 and seen["psk-file"][1] == given
        everything = run(LP2PD, *args, "--print-config")[0]
        assert secret not in everything and secret[10:40] not in everything and "5a5a5a" not in everything

        with Daemon("--data-dir", data, "--json") as daemon:
            peer = json.loads(daemon.wait("ready"))["peer"]
        assert settings("--data-dir", data)["key"] == ([peer], "file")
        assert settings("--ephemeral", "--max-connections", "5")["min-connections"] == (["5"], "the other limit")
        if os.geteuid() != 0:
            assert settings(env={"XDG_STATE_HOME": folder})["data-dir"] == ([f"{folder}/lotus-p2p"], "environment")
        assert "server, client or off" in run(LP2PD, "--print-config", "--dht", "maybe", code=2)[1]


def daemon_options_and_file():
    """What the command line does not say is as the file has it, and the command line wins."""
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "env"
        env.write_text("P2P_MIN_CONNECTIONS=20\nP2P_MAX_CONNECTIONS=100\n")
        for options, wanted in (((), "20 to 100"), (("--max-connections", "80"), "20 to 80"), (("--min-connections", "7"), "7 to 100"),
                                (("--max-connections", "5"), "5 to 5"), (("--min-connections", "120"), "120 to 120"),
                                (("--min-connections", "1", "--max-connections", "2"), "1 to 2")):
            with Daemon("--ephemeral", "--env", str(env), *options) as daemon:
                daemon.wait("ready")
                daemon.process.send_signal(signal.SIGUSR1)
                daemon.wait("actors", f"; {wanted} wanted", lines=daemon.errors)


def daemon_files():
    """Which file, what is wrong with it, and what was expected; on standard error and in the error line."""
    wss = "/ip4/127.0.0.1/tcp/0/wss"
    with tempfile.TemporaryDirectory() as folder:
        path = {name: f"{folder}/{name}" for name in ("cert", "key", "other", "junk", "none", "secret", "psk", "full")}
        for key, cert in (("key", "cert"), ("other", "full")):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
                            "-keyout", path[key], "-out", path[cert]], check=True, capture_output=True)
        Path(path["junk"]).write_text("junk\n")
        Path(path["psk"]).write_text("/key/swarm/psk/1.0.0/\n/base16/\n00\n")
        refused = [(1, "cert", "other", "does not belong to the first certificate", ("cert", "other")),
                   (1, "none", "key", "No such file", ("none",)), (1, "cert", "none", "No such file", ("none",)),
                   (1, "cert", folder, "directory", (folder,)),
                   (1, "junk", "key", "BEGIN CERTIFICATE", ("junk",)), (1, "cert", "junk", "PRIVATE KEY", ("junk",))]
        for code, cert, key, said, named in refused:
            out, err = run(LP2PD, "--ephemeral", "--json", "--listen", wss, "--tls-cert", path.get(cert, cert), "--tls-key",
                           path.get(key, key), code=code)
            line = json.loads(out)
            assert wss in line["detail"] and said in line["detail"] and said in err, line
            assert all(path.get(name, name) in line["detail"] for name in named), line
        for option, beside in (("--tls-cert", "--tls-key"), ("--tls-key", "--tls-cert")):
            assert f"expected {beside}" in run(LP2PD, "--ephemeral", "--listen", wss, option, path["cert"], code=2)[1]
        with Daemon("--ephemeral", "--tls-cert", path["cert"], "--tls-key", path["key"]) as daemon:  # no wss among the addresses
            daemon.wait("--tls-cert and --tls-key are not used", lines=daemon.errors)
        for option, name, code, said in (("--psk-file", "none", 1, "No such file"), ("--psk-file", folder, 1, "directory"),
                                         ("--psk-file", "psk", 2, "/base16/"), ("--key", "none", 1, "No such file"),
                                         ("--key", folder, 1, "directory"), ("--env", "none", 1, "No such file")):
            err = run(LP2PD, "--listen", LOOPBACK, option, path.get(name, name), code=code)[1]
            assert said in err and path.get(name, name) in err and err.startswith("lp2pd: "), err
        with Daemon("--data-dir", f"{folder}/data") as daemon:
            daemon.wait("ready")
            assert "another process" in run(LP2PD, "--data-dir", f"{folder}/data", "--listen", LOOPBACK, code=1)[1]
        (Path(folder) / "data/identity.key").write_text("junk")
        assert "--data-dir" in run(LP2PD, "--data-dir", f"{folder}/data", "--listen", LOOPBACK, code=1)[1]


def daemon_hangs_up():
    """Without a terminal SIGHUP ends nothing; the tool's listener it ends."""
    with Daemon("--ephemeral", "--json") as daemon:
        daemon.wait("ready")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait("SIGHUP", "certificates", lines=daemon.errors)
        daemon.process.send_signal(signal.SIGUSR1)
        daemon.wait("actors", "threads", lines=daemon.errors)  # it still runs
        assert daemon.end() == 0
        assert json.loads(daemon.wait("stopped"))["reason"] == "SIGTERM"
    main, side = os.openpty()
    process = subprocess.Popen([LP2PD, "--ephemeral", "--listen", LOOPBACK], stdin=side, stdout=subprocess.PIPE, text=True)
    try:
        assert "listening" in process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(DEADLINE_S) == 0 and "stopped: SIGHUP" in process.stdout.read()
    finally:
        process.kill()
        process.wait()
        os.close(main)
        os.close(side)


def daemon_counts():
    """SIGUSR1 tells all counters, not only who works."""
    with Daemon("--ephemeral") as daemon:
        address = daemon.address()
        daemon.wait("ready")
        run(LP2P, "ping", address, "-n", "1")
        daemon.process.send_signal(signal.SIGUSR1)
        line = daemon.wait("connections_opened=", lines=daemon.errors)
        assert "connections_opened=1 " in line, line
        line = daemon.wait("streams_opened=", lines=daemon.errors)
        counters = dict(pair.split("=") for pair in line.split())
        assert int(counters["streams_opened"]) >= 2, line  # identify and ping


@contextlib.contextmanager
def nobody(peer):
    """An address of this peer where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"/ip4/127.0.0.1/tcp/{held.getsockname()[1]}/p2p/{peer}"


def daemon_bootstrap_down():
    """A bootstrap peer that cannot be reached is told of by itself: which one, where, at which stage, why."""
    with Daemon("--ephemeral") as other:
        address = other.address()
        peer = address.rsplit("/", 1)[1]
        other.wait("ready")
        with Daemon("--ephemeral", "--bootstrap", address.replace(peer, OTHER_PEER)) as daemon:
            daemon.wait("warn", "bootstrap", OTHER_PEER, address.split("/p2p/")[0], f"got {peer}", lines=daemon.errors)
    with nobody(peer) as address, Daemon("--ephemeral", "--bootstrap", address) as daemon:
        daemon.wait("warn", "bootstrap", peer, "connect: connection refused", "next try in", lines=daemon.errors)


def daemon_port_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"
        out, err = run(LP2PD, "--ephemeral", "--json", "--listen", address, code=1)
        line = json.loads(out)
        assert line["code"] == "EADDRINUSE" and address in line["detail"] and "another port" in line["detail"], line
        assert err.startswith("lp2pd: ") and address in err and err.count("\n") == 1, err  # once, not by the listener too
    if os.geteuid() == 0 and int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 1:
        try:  # as a user who may not
            done = subprocess.run([LP2PD, "--ephemeral", "--listen", "/ip4/127.0.0.1/tcp/1"], capture_output=True, text=True, user=65534,
                                  timeout=2 * DEADLINE_S, check=False)
            assert done.returncode == 1 and "CAP_NET_BIND_SERVICE" in done.stderr, done
        except PermissionError:
            pass  # the program lies where that user may not look


def daemon_actors():
    with Daemon("--ephemeral") as daemon:
        daemon.wait("ready")
        daemon.process.send_signal(signal.SIGUSR1)
        daemon.wait("actor", "thread", lines=daemon.errors)
        daemon.wait("swarm", lines=daemon.errors)
        daemon.wait("actors", "threads", "restarts", lines=daemon.errors)
        assert daemon.end() == 0


def conversation():
    """What the README promises of lp2p, against lp2pd."""
    with Daemon("--ephemeral", "--json", "--serve", "echo,perf", "--dht", "server") as daemon:
        address = daemon.address()
        peer = address.rsplit("/", 1)[1]
        last, pings = result("ping", address, "-n", "3")
        assert last["sent"] == last["received"] == 3 and [p["seq"] for p in pings] == [1, 2, 3] and last["peer"] == peer
        assert result("ping", address.split("/p2p/")[0], "-n", "1")[0]["peer"] == peer
        seen, _ = result("identify", address)
        assert seen["signed_record"] and "/lotus/kad/1.0.0" in seen["protocols"] and seen["muxer"] == "/yamux/1.0.0"
        assert result("identify", address, "--muxers", "mplex", code=1)[0]["stage"] == "muxer"
        echoed, _ = result("echo", address, "--bytes", "100K", "--streams", "20", "--parallel", "4")
        assert echoed["streams_ok"] == 20 and echoed["bytes_total"] == 20 * 102400
        measured, _ = result("perf", address, "--up", "1M", "--down", "0")
        assert measured["up_bytes"] == 1 << 20 and measured["down_bytes"] == 0
        sent, _ = result("send", address, "--protocol", "chat", "--type", "t", "--payload", '{"n":1}', "--count", "50")
        assert sent["sent"] == 50
        for _ in range(50):
            message = json.loads(daemon.wait('"message"', '"chat"'))
        assert message["message"]["payload"] == {"n": 1} and message["bytes"] == sent["bytes"]
        assert message["message"]["messageId"] == sent["message_id"]
        said, _ = result("announce", "session", "s-1", '{"open":true}', "--peer", address, "--ttl", "60")
        found, _ = result("discover", "session", "s-1", "--peer", address)
        assert found["resource"] == said["resource"] and said["stored"] == 1
        assert result("discover", "session", code=1)[0]["code"] == "EUNSUPPORTED"
        assert result("dht", "put", "hex:00ff", "value", "--peer", address)[0]["stored"] == 1
        got, _ = result("dht", "get", "hex:00ff", "--peer", address)
        assert got["value"] == "value" and got["key_base64"] == "AP8=" and "key" not in got
        assert run(LP2P, "dht", "get", "hex:00ff", "--peer", address)[0] == "value\n"
        assert result("dht", "closest", peer, "--peer", address)[0]["peers"][0]["peer"] == peer
        assert result("dht", "findpeer", peer, "--peer", address)[0]["addrs"]
        for args, named in ((("dht", "get", "none"), "none: "), (("discover", "session", "s-9"), "session s-9: ")):
            line, _ = result(*args, "--peer", address, code=1)  # what was looked for is told
            assert line["code"] == "ENOTFOUND" and line["detail"].startswith(named), line
        for command in ("provide", "findprovs"):
            assert "multihash" in result("dht", command, "text", "--peer", address, code=1)[0]["detail"]
            result("dht", command, "hex:1220" + 32 * "ab", "--peer", address, "--listen", LOOPBACK)
        assert "server or client" in run(LP2P, "dht", "get", "k", "--peer", address, "--dht", "off", code=2)[1]
        assert daemon.end() == 0


def published_addresses():
    """A node listens on loopback, and says so, unless it is to tell only public addresses; what it is told to announce it does."""
    announced = ("/ip4/198.51.100.7/tcp/4001", "/ip4/8.8.8.8/tcp/4001", "/dns4/node.example/tcp/4001")
    options = [option for addr in announced for option in ("--append-announce", addr)]
    for public, told in (((), True), (("--public-only",), False)):
        with Daemon("--ephemeral", "--listen", "/ip4/127.0.0.2/tcp/0", *options, *public) as daemon:
            seen, _ = result("identify", daemon.address())  # knows the address that it dialed itself
            addrs = [addr.split("/p2p/")[0] for addr in seen["listen_addrs"]]
            assert set(announced) <= set(addrs), addrs
            assert any(addr.startswith("/ip4/127.0.0.2/") for addr in addrs) is told, addrs
            assert daemon.end() == 0


def failed_dials():
    """On which address, at which stage, and why."""
    with Daemon("--ephemeral", "--dht", "off") as daemon:
        address = daemon.address()
        peer = address.rsplit("/", 1)[1]
        wrong = address.replace(peer, OTHER_PEER)
        line, _ = result("ping", wrong, code=1)
        assert line["code"] == "EWRONGPEER" and line["stage"] == "security" and line["address"] == wrong
        assert peer in line["detail"] and OTHER_PEER in line["detail"]
        _, err = run(LP2P, "ping", wrong, code=1)
        assert wrong in err and "stage security" in err and peer in err
        line, _ = result("echo", address, code=1)
        assert line["code"] == "ENEGOTIATION" and line["stage"] == "protocol" and line["streams_failed"] == 1
        line, _ = result("dht", "get", "k", "--peer", address, code=1)
        assert "/lotus/kad/1.0.0" in line["detail"]
    with nobody(peer) as address:
        line, _ = result("ping", address, code=1)
        assert line["code"] == "ECONNREFUSED" and line["stage"] == "connect" and line["address"] == address
        assert "that the peer runs" in line["hint"], line
        _, err = run(LP2P, "ping", address, code=1)
        assert err.count(address) == 1 and "\nhint: nobody listens there" in err, err
    with Daemon("--ephemeral", listen=f"{LOOPBACK}/ws") as daemon:
        address = daemon.address()
        for other, stage, word in (("", "security", "a WebSocket"), ("/wss", "connect", "/wss")):
            line, _ = result("ping", address.replace("/ws", other), code=1)
            assert line["stage"] == stage and word in line["hint"], line
    line, _ = result("ping", "/dns4/nothing.invalid/tcp/1", "--dns-servers", "127.0.0.1:1", code=1)
    assert line["stage"] == "address" and "nothing.invalid" in line["detail"], line
    with socket.socket() as silent:  # accepts, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}/p2p/{OTHER_PEER}"
        line, _ = result("ping", address, "--timeout", "2", code=1)
        assert line["code"] == "ETIMEDOUT", line
    line, _ = result("ping", f"/ip4/127.0.0.1/udp/1/quic-v1/p2p/{OTHER_PEER}", code=1)
    assert line["stage"] == "address" and "quic" in line["address"], line


def hostile_text():
    """What a peer sends moves no cursor."""
    with Daemon("--ephemeral") as daemon:
        address = daemon.address()
        run(LP2P, "send", address, "--type", "t", "--payload", '"\u009b31m\u202etxt"')
        line = daemon.wait("message from")
        assert "\u009b" not in line and "\u202e" not in line and "txt" in line, repr(line)


def listening():
    with Daemon("--ephemeral") as daemon:
        address = daemon.address()
        tool = subprocess.Popen([LP2P, "listen", "--listen", LOOPBACK, "--peer", address, "--json"], stdout=subprocess.PIPE, text=True)
        try:
            lines = []
            while not lines or lines[-1]["event"] != "peer:connect":
                lines.append(json.loads(tool.stdout.readline()))
            assert lines[0]["event"] == "listening" and lines[-1]["peer"] == address.rsplit("/", 1)[1]
            run(LP2P, "send", lines[0]["address"], "--type", "hi")
            while lines[-1]["event"] != "message":
                lines.append(json.loads(tool.stdout.readline()))
            assert lines[-1]["message"]["type"] == "hi"
            tool.send_signal(signal.SIGINT)
            assert tool.wait(DEADLINE_S) == 0
            assert json.loads(tool.stdout.read().splitlines()[-1])["event"] == "stopped"
        finally:
            tool.kill()
            tool.wait()


CASES = [help_and_version, wrong_usage, keys, daemon_ends, daemon_identity, daemon_environment, daemon_prints_its_configuration,
         daemon_options_and_file, daemon_files, daemon_hangs_up, daemon_counts, daemon_bootstrap_down, daemon_port_taken, daemon_actors,
         conversation, published_addresses, failed_dials, hostile_text, listening]


def main():
    bad = 0
    print(f"1..{len(CASES)}", flush=True)
    for number, case in enumerate(CASES, 1):
        try:
            case()
            print(f"ok {number} - {case.__name__}", flush=True)
        except Exception:  # a case that fails must not hide the others
            bad += 1
            print(f"not ok {number} - {case.__name__}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
