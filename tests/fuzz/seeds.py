#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes first inputs for every fuzz target: seeds.py OUT makes OUT/fuzz_<target>/<number>.

A seed is what a decoder reads behind the few bytes by which its target chooses what to do. They come from the vectors of the unit
tests, and from small encoders in this file. They only need to be good enough to start from: libFuzzer does the rest.
"""
import base64
import json
import ssl
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VECTORS = {p.stem: json.loads(p.read_text()) for p in (HERE.parent / "vectors").glob("*.json")}
SEEDS = {}


def seed(target, *inputs):
    SEEDS.setdefault("fuzz_" + target, []).extend(bytes(i) for i in inputs)


def unhex(text):
    return bytes.fromhex(text)


# ---- encoders

def uvarint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number, value):
    """One protobuf field: bytes or text by length, a number as a varint."""
    if isinstance(value, int):
        return uvarint(number << 3) + uvarint(value)
    value = value.encode() if isinstance(value, str) else value
    return uvarint(number << 3 | 2) + uvarint(len(value)) + value


def framed(message):
    return uvarint(len(message)) + message


def tcp(*ip, port=4001):
    return bytes([4, *ip, 6]) + struct.pack(">H", port)


def name_addr(code, name, port=4001):
    return bytes([code]) + framed(name.encode()) + b"\x06" + struct.pack(">H", port)


def p2p(peer):
    return uvarint(421) + framed(peer)


def dns_name(*labels):
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def dns_message(questions, answers, flags=0x8400, more=()):
    head = struct.pack(">6H", 7, flags, len(questions), len(answers), 0, len(more))
    return head + b"".join(questions) + b"".join(answers) + b"".join(more)


def dns_question(name, kind, klass=1):
    return name + struct.pack(">2H", kind, klass)


def dns_record(name, kind, data, ttl=120, klass=1):
    return name + struct.pack(">2HIH", kind, klass, ttl, len(data)) + data


def strings(*texts):
    return b"".join(bytes([len(t)]) + t.encode() for t in texts)


def records(name):
    return [r for r in VECTORS["signed-envelope"]["peer_records"] if r["name"].startswith(name)]


ENVELOPES = [unhex(r["envelope"]) for r in records("")]
KEYS = VECTORS["identity"]["keys"]
PEER = unhex(KEYS[0]["peer_id"])
ALL_ADDRS = [v for v in VECTORS["multiaddr"]["valid"] if len(v["bytes"]) <= 400]

# ---- wire


def wire():
    for v in VECTORS["varint"]["valid"] + VECTORS["varint"]["invalid"]:
        seed("varint", unhex(v["bytes"]))
    for v in ALL_ADDRS:
        seed("multiaddr", unhex(v["bytes"]), v["string"].encode())
    for v in VECTORS["multiaddr"]["invalid_strings"]:
        seed("multiaddr", v["string"].encode()[:400])
    for v in VECTORS["multiaddr"]["invalid_bytes"]:
        seed("multiaddr", unhex(v["bytes"])[:400])
    for v in VECTORS["multihash"]["valid"] + VECTORS["multihash"]["invalid"]:
        seed("multiformats", unhex(v["multihash"]), b"\x01\x72" + unhex(v["multihash"]))
    for v in VECTORS["multibase"]["vectors"]:
        seed("multiformats", v["text"].encode())
    for i, v in enumerate(VECTORS["identity"]["peer_id_text"]):
        seed("multiformats", v["cid_base32"].encode(), v["cid_base36"].encode(), bytes([i]) + unhex(v["peer_id"]))
        seed("peer_id", v["text"].encode(), v["b58"].encode(), v["cid_base32"].encode(), v["cid_base36"].encode(),
             unhex(v["peer_id"]))
    for v in VECTORS["identity"]["peer_id_text_invalid"]:
        seed("peer_id", v["text"].encode())
    for v in VECTORS["identity"]["peer_id_bytes_invalid"]:
        seed("peer_id", unhex(v["peer_id"]))
    for key in KEYS:
        seed("private_key", unhex(key["private_pb"]))
        signed = [unhex(s["signature"]) for s in VECTORS["identity"]["signatures"] if s["type"] == key["type"]]
        for one in [unhex(key["public_pb"]), unhex(key["public_data"])]:
            seed("public_key", *(split(one, s) for s in signed + [b""]))
    for v in VECTORS["identity"]["ed25519_legacy_private"]:
        seed("private_key", unhex(v["private_pb"]))
    for group in VECTORS["wycheproof-signatures"]["groups"]:
        for test in group["tests"][:1]:
            seed("public_key", split(unhex(group["data"]), unhex(test[1])))
    for r in records(""):
        seed("envelope", unhex(r["envelope"]), unhex(r.get("payload", "")))
    seed("frame", bytes([16, 3]) + framed(b"hello") + framed(b"") + framed(b"x" * 200), b"\x01\x01\x7f", b"\xff\x3f\x80\x80\x01",
         b"\x40\x05" + framed(b"y" * 130) + b"\x05ab")


def split(key, signature):
    """A byte that says which share of what follows is the key."""
    total = len(key) + len(signature)
    share = next((b for b in range(256) if total * b // 255 == len(key)), None)
    while share is None:
        signature += b"\0"
        total += 1
        share = next((b for b in range(256) if total * b // 255 == len(key)), None)
    return bytes([share]) + key + signature


# ---- channels and muxers


def channels():
    steps = [unhex(m["hex"]) for m in VECTORS["multistream"]["messages"]] + [unhex(m["hex"]) for m in VECTORS["multistream"]["invalid"]]
    some = b"".join(framed(t + b"\n") for t in (b"/nothing", b"/a", b"/yamux/1.0.0"))
    for mode in range(0, 64, 4):
        seed("multistream", *(bytes([mode | low, 5]) + some for low in range(4)))
    seed("multistream", *(bytes([1 << (i % 6), 200]) + m for i, m in enumerate(steps)))
    for t in VECTORS["multistream"]["transcripts"]:
        seed("multistream", *(bytes([mode, 7]) + b"".join(unhex(s["hex"]) for s in t["steps"] if s["side"] == side)
                              for mode in (0, 1, 17, 10) for side in {s["side"] for s in t["steps"]}))
    seed("multistream", b"\x0d\x09" + framed(b"na\n") * 3, b"\x1d\x09" + framed(b"/noise\n"),
            b"\x2d\x01" + framed(b"na\n") + framed(b"/a\n"))
    for t in VECTORS["noise-xx"]["libp2p_transcripts"]:
        frames = {"initiator": b"", "responder": b""}
        for m in t["messages"]:
            frames[m["sender"]] += unhex(m["frame"])
        seed("noise", b"\x02" + frames["initiator"], b"\x03" + frames["responder"])
        for m in t["messages"][1:3]:
            seed("noise", b"\x00" + unhex(m["payload"]), b"\x01" + unhex(m["payload"]))
    for how in range(8):
        extensions = field(2, "/yamux/1.0.0") + field(2, "/mplex/6.7.0") + field(1, b"hash")
        for key in KEYS:
            payload = field(1, unhex(key["public_pb"])) + field(2, b"s" * 64) + field(4, extensions)
            seed("noise", bytes([how]) + payload)
    seed("noise_open", b"\0\0\5\1\1\0\0\2\0\x10\0\3\1\xff\xff\4", b"\0\0\5\xf3\1\0\5\1\0\0\5\1", b"\0\0\5\1\0\x20" + b"z" * 32)
    for key in VECTORS["pnet"]["key_files"]:
        seed("psk", key["text"].encode(), key["text"].replace("\n", "\r\n").encode())
    seed("psk", b"/key/swarm/psk/1.0.0/\n/bin/\n" + bytes(range(32)), b"/key/swarm/psk/1.0.0/\n/base32/\n")
    for target in ("yamux", "mplex"):
        muxer(target)


def muxer(target):
    frames = [unhex(f["hex"]) for f in VECTORS[target + "-frames"]["frames"]]
    if target == "yamux":
        frames += [unhex(s["hex"]) for s in VECTORS["yamux-frames"]["transcript"]]
    else:
        frames += [unhex(f["hex"]) for f in VECTORS["mplex-frames"]["buffers"] + VECTORS["mplex-frames"]["invalid"]]
    look = bytes([26, 9, 27, 9])
    carry = bytes([14, 255, 15, 255])
    for end in range(2):
        seed(target, *(bytes([18 + end, min(len(f), 63)]) + f[:63] + look + carry for f in frames))
        every = b"".join(bytes([18 + end, min(len(f), 63)]) + f[:63] for f in frames)
        seed(target, every + look)
        opened = bytes([end, 4 + end, 0, 3]) + carry + look
        talk = bytes([4 + (1 - end), 0, 200]) + carry + look + bytes([12 + end, 0, 255, 13 - end, 0, 255]) + carry + look
        for last in (bytes([8 + end, 0, 9 - end, 0]), bytes([10 + end, 0]), bytes([24 + end, 16]), bytes([22 + end, 255]) * 6):
            seed(target, opened + talk + last + carry + look, opened * 9 + talk * 3 + last + carry + look)
        seed(target, opened + bytes([4 + end, 0, 255]) * 30 + (carry + look + bytes([13 - end, 0, 255])) * 8)
        much = bytes([4 + end, 0, 255]) * 6 + carry * 3 + look + bytes([13 - end, 0, 140]) + carry + look
        seed(target, opened + much * 6, opened + bytes([22 + end, 1]) + much + (bytes([22, 200, 23, 1]) + carry + look) * 3 + much * 4)
        seed(target, b"".join(bytes([end, 4 + end, i, 40]) for i in range(9)) + (carry + look) * 3 + bytes([10 + end, 3, 11 - end, 4]) +
                carry)


# ---- TLS


def der(data, at=0):
    """(tag, content, where the next element begins)"""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start:start + count], "big"), start + count
    return data[at], data[start:start + length], start + length


def elements(content):
    at, out = 0, []
    while at < len(content):
        _, _, end = der(content, at)
        out.append(content[at:end])
        at = end
    return out


def tls():
    certificates = [c for kind in ("certificates", "other_signature_scheme_certificates") for c in VECTORS["tls-certificates"][kind]]
    for c in certificates:
        whole = unhex(c["certificate"])
        seed("tls_certificate", b"\0" + whole)
        body, algorithm, _ = elements(der(whole)[1])
        parts = elements(der(body)[1])
        listed = der(der(parts[7])[1])[1]
        seed("tls_certificate", b"\2" + listed, b"\3" + algorithm, b"\4" + parts[6])
        if "extension_value" in c:
            seed("tls_certificate", b"\1" + unhex(c["extension_value"]))
    for key in KEYS:
        whole = split(unhex(key["public_pb"]),
                unhex(next(s["signature"] for s in VECTORS["identity"]["signatures"] if s["type"] == key["type"])))
        seed("tls_certificate", b"\6" + whole, b"\6\xff" + unhex(key["public_pb"]))
    seed("tls_certificate", b"\6", b"\6\0" + b"x" * 64)
    for s in VECTORS["tls-web"]["servers"]:
        pem = s["chain"].encode()
        seed("tls_certificate", b"\5" + pem[:1200], b"\0" + base64.b64decode(b"".join(pem.split(b"-----")[2].split())))
    other = b"-----BEGIN X-----\nAA==\n-----END X-----\n"
    seed("tls_certificate", b"\5junk\n" + other + b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n")
    hello, flight = tls_flights()
    seed("tls_handshake", b"\0" + flight, b"\1" + hello, b"\6" + hello, b"\5" + flight, b"\5" + flight[:200])
    carry = b"\4\0\5\0"
    for mode, before in ((b"\7", b""), (b"\x08", carry * 3), (b"\x08", b"\2\x40\3\x40" * 40), (b"\x08", b"\4\0\x0b\x30" + carry * 2)):
        for end in range(2):
            talk = bytes([end, 9, 4 + end, 0, 7 - end, 5, 7 - end, 200])
            for last in (b"", bytes([8 + end, 0]), bytes([10 + end, 40, 12 + end, 23]), bytes([end, 1, 14 + end, 3]) + talk):
                seed("tls_handshake", mode + before + talk + last + talk + carry, mode + before + bytes([end, 255]) * 9 + last + talk * 6)
    for mode in (2, 3, 4):
        seed("tls_handshake", bytes([mode]) + b"\0\0\0", bytes([mode]) + b"\0\x0b\1", bytes([mode]) + b"\0\x2c\1\0\xff\2")
    for mode in (0, 1):
        ops = [(3, b"hello"), (1, b"\2\x28"), (2, b"\x18\0\0\1\0"), (2, b"\x18\0\0\1\1"), (2, b"\4\0\0\5abcde"), (0, b"\1"), (3, b""),
               (0x63, b"pad"), (1, b"\1\0"), (2, b"\4\0"), (2, b"\0\3xyz"), (4, b"?")]
        every = [bytes([kind, len(text)]) + text for kind, text in ops]
        seed("tls_records", *(bytes([mode]) + one for one in every), *(bytes([mode]) + one + every[0] for one in every))
        seed("tls_records", bytes([mode]) + b"".join(every[:1] * 3 + every[2:5] + every[9:11] + every[:1] + every[8:9]))
        seed("tls_records", bytes([mode]) + every[6] * 40, bytes([mode]) + every[2] * 40)
    record = b"\x17\3\3\0\x20" + bytes(32)
    seed("tls_records", b"\2" + record, b"\2" + record + b"\0", b"\3\x16\3\3\x40\1" + bytes(9), b"\2\x14\3\3\0\1\1" + record)


def tls_flights():
    """A client's first flight and a server's answer to it, by Python's own TLS."""
    sides, wires = [], []
    for purpose in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER):
        context = ssl.SSLContext(purpose)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["libp2p"])
        if purpose == ssl.PROTOCOL_TLS_CLIENT:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        else:
            import tempfile
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(VECTORS["tls-web"]["servers"][1]["chain"] + VECTORS["tls-web"]["servers"][1]["key"])
                file.flush()
                context.load_cert_chain(file.name)
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides.append((context.wrap_bio(into, out, server_side=purpose == ssl.PROTOCOL_TLS_SERVER), into))
        if wires:
            into.write(wires[0])
        try:
            sides[-1][0].do_handshake()
        except ssl.SSLWantReadError:
            pass
        wires.append(out.read())
    return wires


# ---- WebSocket, HTTP, proxies


def ws_frame(opcode, payload, mask=None, fin=True, long=False):
    length = len(payload)
    size = bytes([length]) if length < 126 and not long else b"\x7e" + struct.pack(">H", length) if length < 65536 else (
        b"\x7f" + struct.pack(">Q", length))
    head = bytes([opcode | (0x80 if fin else 0), size[0] | (0x80 if mask else 0)]) + size[1:]
    if mask:
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        head += mask
    return head + payload


def websocket():
    for client in (0, 1):
        mask = None if client else b"\x11\x22\x33\x44"
        close = struct.pack(">H", 1000) + b"bye"
        series = [[(2, b"hello", {}), (9, b"are you there", {}), (2, b"x" * 300, {}), (10, b"", {}), (8, close, {})],
                  [(2, b"one", {"fin": False}), (9, b"", {}), (0, b"two", {"fin": False}), (0, b"three", {}), (8, b"", {})],
                  [(1, b"text", {}), (8, b"\3", {})], [(0, b"lost", {})], [(2, b"a", {"fin": False}), (2, b"b", {})], [(3, b"?", {})],
                  [(9, b"long", {"long": True})], [(9, b"p", {"fin": False})], [(2, b"short", {"long": True})], [(0x42, b"rsv", {})],
                  [(8, struct.pack(">H", 1005), {}), (2, b"after", {})], [(9, b"p" * 125, {})] * 3, [(2, b"", {})] * 5]
        for s in series:
            text = b"".join(ws_frame(op, payload, mask, **how) for op, payload, how in s)
            seed("websocket_frames", bytes([client]) + b"\2" + text, bytes([client | 6]) + b"\0" + text)
        seed("websocket_frames", bytes([client]) + b"\x20" + ws_frame(2, b"q", None if mask else b"abcd"))
        seed("websocket_frames", bytes([client]) + b"\x20" + bytes([0x82, 127 | (0x80 if mask else 0)]) + bytes(8) + b"xxxxyyyy")
    request = (b"GET / HTTP/1.1\r\nHost: a:1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
               b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n")
    extra = [b"", b"X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\n", b"Origin: http://x\r\nX-Forwarded-For: [2001:db8::1]:80\r\n",
             b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
             b"Sec-WebSocket-Protocol: a, b\r\n"]
    for e in extra:
        seed("websocket_upgrade", b"\0\x10" + request + e + b"\r\n", b"\0\0" + request + e + b"\r\n\x82\x01a")
    for old, new in ((b"GET", b"POST"), (b"13", b"8"), (b"1.1", b"1.0"), (b"websocket", b"h2c"), (b"Key", b"Kay"), (b"Host", b"Hust"),
                     (b"Q==", b""), (b" keep-alive, Upgrade", b" close"), (b"GET / ", b"GET http://a/b?c ")):
        seed("websocket_upgrade", b"\0\x20" + request.replace(old, new, 1) + b"\r\n")
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \xaa\r\n"
    seed("websocket_upgrade", b"\1\x10" + answer + b"\r\n", b"\1\0" + answer + b"\r\n\x82\x01a")
    for old, new in ((b"101", b"200"), (b"101", b"404"), (b"\xaa", b"x"), (b"1.1", b"1.0"), (b"websocket", b"x"),
            (b": Upgrade", b": close"),
                     (b"\r\n", b"\r\nSec-WebSocket-Protocol: q\r\n"), (b"\r\n", b"\r\nSec-WebSocket-Extensions: e\r\n"), (b"\r\n", b"\n")):
        seed("websocket_upgrade", b"\1\x20" + answer.replace(old, new, 1) + b"\r\n")
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    four, six = bytes([9, 8, 7, 6, 10, 0, 0, 1]) + b"\x12\x34\0\x50", bytes(range(32)) + b"\x12\x34\0\x50"
    for command, family, body in ((0x21, 0x11, four), (0x21, 0x21, six), (0x20, 0, b""), (0x21, 0x11, four + b"\4\0\3abc"),
            (0x21, 0x31, bytes(216)),
                                  (0x21, 0x12, four), (0x31, 0x11, four), (0x21, 0x11, four[:5]), (0x22, 0x11, four)):
        seed("proxy", b"\0" + signature + bytes([command, family]) + struct.pack(">H", len(body)) + body)
    for text in ("PROXY TCP4 203.0.113.7 10.0.0.1 4001 80\r\n", "PROXY TCP6 2001:db8::1 ::1 1 65535\r\nrest", "PROXY UNKNOWN\r\n",
                 "PROXY UNKNOWN a b c d\r\n", "PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n", "PROXY TCP4 1.2.3.4 4.5.6.7 1 70000\r\n",
                         "PROXY UDP4 \r\n",
                 "GET / HTTP/1.1\r\n", "\x16\x03\x01\x00\x05\x01", "\x13/multistream/1.0.0\n", "203.0.113.7, 10.0.0.1,11.0.0.1",
                 "[2001:db8::1]:443, 2001:db8::2 , \"[::1]\"", "203.0.113.7:99,, 3.3.3.3", "unknown, 9.9.9.9", "::ffff:9.9.9.9"):
        seed("proxy", b"\0" + text.encode("latin1"), b"\1" + text.encode("latin1"))


# ---- actors


def actors():
    info = (field(1, unhex(KEYS[0]["public_pb"])) + field(2, tcp(9, 9, 9, 9)) + field(2, tcp(127, 0, 0, 1)) + field(3, "/ipfs/ping/1.0.0") +
            field(3, "/ipfs/id/1.0.0") + field(4, tcp(8, 8, 8, 8)) + field(5, "ipfs/0.1.0") + field(6, "agent/1"))
    for cut in (b"\0\0", b"\5\0", b"\xff\0"):
        seed("identify", cut + framed(info), cut + framed(info[:60]) + framed(info[60:]), cut + framed(info + field(8, ENVELOPES[0])),
             cut + framed(info) * 3, *(cut + framed(field(6, "a") + field(8, e)) for e in ENVELOPES))
    holder = b"\x00\x24" + ENVELOPES[0][2:38]
    for addrs in ([tcp(9, 9, 9, 9)], [tcp(127, 0, 0, 1), tcp(10, 0, 0, 1)], [b"?"], []):
        record = field(1, holder) + field(2, 7) + b"".join(field(3, field(1, a)) for a in addrs)
        for told in (info[38:], field(1, ENVELOPES[0][2:38]) + info[38:], info):
            seed("identify", b"\x09\1" + framed(record) + framed(told), b"\xff\1" + framed(record)[:40] + framed(told))
    for key in KEYS:
        if len(key["peer_id"]) == 68:
            seed("identify", b"\xff\2" + unhex(key["peer_id"]) + framed(field(1, unhex(key["public_pb"])) + info[38:]))
    seed("identify", b"\x40\0" + framed(b"".join(field(2, unhex(v["bytes"])) for v in ALL_ADDRS[:40])),
         b"\x40\0" + framed(b"".join(field(3, f"/p/{i}") for i in range(60))), b"\x08\0" + framed(field(6, "\x1b[1m\nx") + field(3, "")))
    message = {"type": "t", "from": "me", "to": "you", "payload": {"a": [1, 2.5, None, True, "\u00e9\n"]}, "timestamp": 1762300000000,
               "messageId": "m-1", "protocol": "p"}
    for change in ({}, {"payload": "text"}, {"payload": None}, {"payload": []}, {"to": 3}, {"protocol": None}, {"timestamp": 0},
            {"type": ""},
                   {"from": 1}, {"messageId": ""}, {"timestamp": 1e300}, {"timestamp": "1"}, {"payload": {"n": -0.0}}):
        seed("lotus_message", json.dumps({**message, **change}).encode())
    seed("lotus_message", b"[]", b'{"type":"t","type":"u"}', b'\xef\xbb\xbf{}', b'{"a":"\\ud83d\\ude00\\u0000"}', b'{"a":NaN}', b"[" * 40,
         json.dumps({"type": "t", "from": "f", "timestamp": 1, "messageId": "m"}).encode())
    resource = {"resourceId": "i", "resourceType": "t", "creatorPeerId": "p", "data": {"x": 1}, "createdAt": 5, "expiresAt": 12}
    for change in ({}, {"expiresAt": "x"}, {"expiresAt": 1e99}, {"createdAt": None}, {"resourceId": "j"}, {"data": "y"}, {"expiresAt": -1},
                   {"creatorPeerId": 4}, {"expiresAt": 0}, {"expiresAt": 9007199254740992}):
        seed("resource", json.dumps({**resource, **change}).encode())
    seed("resource", b"a/bc/d", b"kind" + b"name", b"ty/pename", b'"text"', b"[1]", b"x" * 600)
    seed("small_machines", b"\x20" + bytes(32) + b"\x10" + bytes(16), b"\x08" + bytes(6) + b"\4\0" + b"\5abcde",
         b"\x20" + bytes(31) + b"\1", b"\3abc" * 30, b"\xff" + bytes(range(255)))
    stored_peers()
    for mode in range(8):
        text = b"\x13/multistream/1.0.0\n" + framed(b"/noise\n" if mode < 2 else b"/yamux/1.0.0\n")
        noise = VECTORS["noise-xx"]["libp2p_transcripts"][0]["messages"]
        seed("upgrade", bytes([mode, 255]) + text, bytes([mode, 3]) + text, bytes([mode, 40]) + text + unhex(noise[mode & 1]["frame"]),
             bytes([mode, 255]) + text[:20] + framed(b"/mplex/6.7.0\n") + framed(b"/yamux/1.0.0\n") + unhex("000200010000000000000001"),
             bytes([mode, 255]) + text[:20] + framed(b"na\n") * 3)


def carriers():
    well = b"\x0e\0"
    talk = bytes([2, 40, 3, 90, 6, 20, 7, 20, 8, 255, 9, 255, 4, 255, 5, 255, 0, 0, 1, 0])
    for stack in (0, 1, 2, 3, 4, 6, 7):
        slowly = bytes([6, 1, 7, 1, 8, 60, 9, 60, 0, 0, 1, 0]) * 60
        for last in (b"", b"\x0a\0", b"\x0b\0", b"\x0c\5" + talk, b"\x6d\x17"):
            seed("carrier", bytes([stack]) + well * 3 + talk * 2 + last + talk,
                    bytes([stack]) + slowly[:300 if last else 720] + talk + last)
        seed("carrier", bytes([stack]) + well * 3 + bytes([2, 255, 3, 255]) * 40 + talk * 4)
    for end, mask in ((0, b"abcd"), (8, None)):
        for outer in (0, 1):
            frames = [ws_frame(2, b"hello", mask), ws_frame(2, b"", mask) * 9, ws_frame(9, b"", mask) * 5 + ws_frame(8, b"", mask),
                      ws_frame(2, b"a", mask, fin=False) + ws_frame(0, b"b", mask), ws_frame(8, b"\3\xe8", mask) + b"more", b"\xc2\1junk"]
            for above in (2, 6):
                how = bytes([48 | outer | above | end])
                said = [bytes([2 + (end > 0), len(f)]) + f for f in frames]
                seed("carrier", *(how + one + talk + well for one in said), how + b"".join(said[:2]) * 5 + talk + said[3] + said[2] + well)
        seed("carrier", bytes([18 | end]) + well * 3 + b"\2\x20" + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
                bytes([20 | end]) + well * 3 + b"\2\x30" + bytes(60))


def stored_peers():
    def stored(peer, version=2, addrs=(), protocols=(), tags=(), record=b"", key=b"", seq=1):
        out = uvarint(version) + uvarint(1700000000000) + framed(peer) + uvarint(seq) + uvarint(1) + uvarint(2)
        out += framed(b"agent") + framed(b"v")
        out += uvarint(len(addrs)) + b"".join(bytes([source]) + uvarint(1700000000) + framed(a) for source, a in addrs)
        out += uvarint(len(protocols)) + b"".join(framed(p) for p in protocols)
        out += uvarint(len(tags)) + b"".join(framed(t) + uvarint(value) for t, value in tags)
        return out + (framed(record) + framed(key) if version == 2 else b"")
    addrs = [(i % 5, tcp(9, 9, 9, i)) for i in range(6)]
    peers = [stored(PEER), stored(PEER, 1, addrs[:2]), stored(PEER, 2, addrs, [b"/a", b"/b"], [(b"tag", 5), (b"u", 2**32 - 1)]),
            stored(PEER, 3),
             stored(unhex(KEYS[2]["peer_id"]), key=unhex(KEYS[2]["public_pb"]), addrs=addrs[:1])]
    for r in records(""):
        envelope = unhex(r["envelope"])
        peer = b"\x00\x24" + envelope[2:38]
        known = [(source, addr_of(unhex(r.get("payload", "")))) for source in (1, 2, 3)]
        peers += [stored(peer, 2, known, record=envelope, seq=int(r.get("seq", 1))),
                stored(PEER, 2, known, record=envelope, key=envelope[2:38])]
    seed("stored_peer", *peers, *(uvarint(len(PEER)) + uvarint(len(p)) + PEER + p for p in peers[:3]), framed(PEER)[:1] + b"\0" + PEER)


def addr_of(payload):
    """The first address of a peer record, or any."""
    at = payload.find(b"\x1a")
    return payload[at + 4:at + 4 + payload[at + 3]] if at > 0 and payload[at + 2] == 0x0A else tcp(1, 2, 3, 4)


def names():
    service = dns_name("_p2p", "_udp", "local")
    services = dns_name("_services", "_dns-sd", "_udp", "local")
    b58 = KEYS[0]["peer_id_b58"]
    ours = strings(f"dnsaddr=/ip4/10.0.0.8/tcp/4001/p2p/{b58}", f"dnsaddr=/ip6/fe80::1/tcp/4001/p2p/{b58}", "other=1")
    instance = b"\x07abcdefg" + b"\xc0\x0c"
    pointer = dns_record(service, 12, instance)
    text = dns_record(b"\x07abcdefg" + service, 16, ours)
    packets = [dns_message([], [pointer], more=[text]), dns_message([], [pointer, text]),
               dns_message([dns_question(service, 12)], [], 0), dns_message([dns_question(service, 12, 0x8001)], [pointer], 0x0200),
               dns_message([dns_question(services, 12), dns_question(service, 255)], [], 0),
               dns_message([], [dns_record(services, 12, service)]), dns_message([], [dns_record(service, 12, instance, 0)]),
               dns_message([], [dns_record(service, 12, b"\5other\0"), dns_record(b"\5other\0", 16, ours)]),
               dns_message([], [dns_record(b"\x07abcdefg" + service, 16, ours, klass=0x8001), dns_record(service, 33, b"x")]),
               dns_message([], [pointer], 0x8403), dns_message([], [dns_record(b"\xc0\x0c", 12, b"\xc0\x0c")])]
    for p in packets:
        seed("mdns", struct.pack(">H", len(p)) + p)
        seed("mdns", *(struct.pack(">H", how << 12 | len(p)) + p for how in (1, 4, 9)))
    for how in (1, 2, 3, 6, 13):
        seed("mdns", b"".join(struct.pack(">H", how << 12 | len(p)) + p for p in packets))
    seed("mdns", b"".join(struct.pack(">H", len(p)) + p for p in packets),
            b"".join(struct.pack(">H", len(p)) + p for p in packets[:2] * 20))
    asked = [name_addr(code, "a.example") for code in (53, 54, 55, 56)] + [bytes([56]) + framed(b"a.example")]
    asked += [bytes([56]) + framed(b"a.example") + p2p(PEER), tcp(1, 2, 3, 4)]
    found = [f"dnsaddr=/ip4/9.9.9.9/tcp/4001/p2p/{b58}", f"dnsaddr=/dns4/b.example/tcp/1/p2p/{b58}", "dnsaddr=/dnsaddr/c.example", "v=1"]
    answers = [dns_message([dns_question(dns_name("_dnsaddr", "a", "example"), 16)],
            [dns_record(b"\xc0\x0c", 16, strings(f)) for f in fs], flags)
               for fs in ([found[0]], [found[1]], [found[2]], [found[3], found[0]], []) for flags in (0x8180, 0x8183, 0x8182)]
    seed("dns", *(b"\0" + a for a in answers[:3]), *answers)
    lists = [b"".join(bytes([len(a)]) + a for a in asked),
            b"".join(bytes([len(a)]) + a for a in (tcp(9, 9, 9, 9), bytes([41]) + bytes(15) + b"\1\6\0\1"))]
    for one in asked:
        head = bytes([len(one)]) + one
        seed("dns", head, *(head + halved(a) for a in answers[::3]), head + halved(lists[0]) + halved(lists[1]), head + halved(lists[1]),
             head + halved(answers[6]) * 5,
                     head + halved(lists[0]) + halved(answers[0]) + halved(b"") + halved(answers[3]) + halved(lists[1]) * 3)


def halved(answer):
    """An answer behind half of its length."""
    half = (len(answer) + 1) // 2
    return bytes([half]) + answer.ljust(2 * half, b"\0")


# ---- DHT


def kad():
    messages = [unhex(m["hex"]) for m in VECTORS["kad"]["messages"] + VECTORS["kad"]["generated_messages"]]
    records_ = [unhex(r["hex"]) for r in VECTORS["kad"]["records"]]
    for v in VECTORS["kad"]["record_time"]:
        records_.append(field(1, b"k") + field(2, b"v") + field(5, v["text"]))
    peer = field(1, PEER) + field(2, tcp(9, 9, 9, 9)) + field(2, tcp(8, 8, 8, 8)) + field(3, 1)
    seed("kad_message", *messages, *records_, peer)
    for kind in range(6):
        crafted = [bytes([kind | about, how, 1, 5, 2, 7, 0, 9, 1, 77]) for about in (0, 64, 136, 192, 208) for how in (0, 1, 3, 6, 9)]
        seed("kad_message", *crafted, *(c + b"\xff" + field(3, records_[0]) + field(8, peer) + field(9, peer) for c in crafted))
        seed("kad_serve", b"".join(struct.pack(">H", len(r)) + r for r in crafted), struct.pack(">H", len(crafted[1])) + crafted[1])
        raw = [field(1, kind) + field(2, b"k") + field(3, records_[-1]) + field(9, peer), field(1, kind) + field(2, PEER), messages[kind]]
        seed("kad_serve", b"".join(struct.pack(">H", len(r) + 1) + b"\x07" + r for r in raw), *(struct.pack(">H", len(r)) + r for r in raw))
        answers = [bytes([1, how, 1, 20 + how, 0, 30 + how, 3, 40, 2, 50]) for how in (0, 1, 3, 6, 9)]
        many = b"".join(struct.pack(">H", len(a)) + a for a in answers * 4)
        seed("kad_response", bytes([kind]) + many, bytes([kind]) + struct.pack(">H", len(raw[0])) + raw[0] + many,
             bytes([64 | kind]) + many, bytes([64 | kind]) + many[:36] + b"\0\0" * 9, *(bytes([kind | about]) + many[12 * i:12 * i + 12] * 9
             for i in range(5) for about in (0, 64, 192)),
             bytes([kind]) + b"".join(struct.pack(">H", len(r)) + r for r in raw) * 4,
             bytes([kind]) + b"\0\0" * 9 + many)
    for kind in (0, 2):  # more than is kept, of everything
        seed("kad_serve", b"".join(struct.pack(">H", 4) + bytes([kind | 192 | n << 3, 9, n % 2, 3]) for n in range(8)) * 2)
    every = b"".join(struct.pack(">H", 7) + bytes([kind, how, 1, 5, 2, 7, 9]) for kind in range(6) for how in range(4))
    seed("kad_serve", every, every * 3)


def main(out):
    for make in (wire, channels, tls, websocket, actors, carriers, names, kad):
        make()
    for target, inputs in sorted(SEEDS.items()):
        folder = Path(out) / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(sorted(set(inputs))):
            (folder / f"seed-{number:03}").write_bytes(data)
    print(f"{sum(len(set(i)) for i in SEEDS.values())} seeds for {len(SEEDS)} targets")


if __name__ == "__main__":
    main(sys.argv[1])
