# SPDX-License-Identifier: MIT
"""A broadcast of ours to js peers: who lacks the protocol is left out, and gets it after a push that tells that it is there."""
from pathlib import Path

from peers import LOOPBACK, expect

CROWD = "/crowd/1.0.0"


class Node:
    """Our node, which broadcasts when it is told to."""

    def __init__(self, context):
        self.process = context.process("answer", [Path(context.build) / "tests/interop/interop_answer", LOOPBACK])
        self.addr = self.process.wait_event("ready")["addrs"][0]

    def broadcast(self):
        start = len(self.process.lines)
        self.process.write("broadcast\n")
        told = self.process.wait_event("broadcast", start=start)
        return {name: told[name] for name in ("result", "reached", "left_out", "not_asked")}

    def wait_told(self, js, crowd):
        self.process.wait_for(f"what {js.peer} speaks", lambda lines: any(
            line.get("event") == "update" and line["peer"] == js.peer and line["protocols"] > 0 and line["crowd"] == crowd
            for line in lines))


def broadcast(context):
    node = Node(context)
    speaks, later, never = context.peer("js3"), context.peer("js3", push=True), context.peer("js3")
    speaks.do("speak", protocol=CROWD)
    for js in (speaks, later, never):
        js.do("dial", addr=node.addr)
        node.wait_told(js, js is speaks)
    # `later` would push, so its list is enough; `never` could speak more than it said, and is asked once.
    expect(node.broadcast() == {"result": 0, "reached": 1, "left_out": 2, "not_asked": 1}, f"the first: {node.process.tail()}")
    expect(node.broadcast() == {"result": 0, "reached": 1, "left_out": 2, "not_asked": 3}, f"the second: {node.process.tail()}")
    later.do("speak", protocol=CROWD)
    node.wait_told(later, True)
    third = node.broadcast()  # by now `never` may be asked again: its answer is the same
    expect(third["result"] == 0 and third["reached"] == 2 and third["left_out"] == 1, f"the third: {node.process.tail()}")
    later.wait_event("message")
    speaks.wait_for("three messages", lambda lines: sum(line.get("event") == "message" for line in lines) == 3)
    expect(later.events("message")[0]["message"]["payload"] == "to all", f"{later.tail()}")
    expect(not never.events("message") and not never.events("bad-message"), f"{never.tail()}")
    for js in (speaks, later, never):
        expect(not js.events("disconnect"), f"{js.name} hung up: {js.tail()}")


def cases(context):
    yield "js3: a broadcast leaves out who lacks the protocol, until it has it", ("js3",), lambda: broadcast(context)
