# SPDX-License-Identifier: MIT
"""js-libp2p in a real browser: it connects by WebSocket, exchanges a Lotus message both ways, and announces a resource."""
import json
import os
import shutil
from pathlib import Path

from peers import expect, lp2p
from proc import DEADLINE_S, Process
from toolchains import HERE, find_node

RESOURCE = {"resourceId": "browser-1", "resourceType": "session", "data": {"from": "a browser"}}


def chromium():
    return shutil.which("chromium") or shutil.which("chromium-browser")


def why_not():
    if not chromium():
        return "browser: no chromium (tools/setup test)"
    if not (HERE / "js3/node_modules/playwright-core").exists() or not find_node():
        return "browser: the npm packages of js3 are not installed (tools/setup test)"
    return None


def picture():
    """Kept as an artifact of the run."""
    folder = Path(os.environ.get("LP2P_ARTIFACTS", HERE.parents[1] / "artifacts"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "browser.png"


def browser(context):
    node = context.process("answer", [Path(context.build) / "tests/interop/interop_answer", "/ip4/127.0.0.1/tcp/0/ws",
                                      "/ip4/127.0.0.1/tcp/0"])
    ready = node.wait_event("ready")
    web = next(addr for addr in ready["addrs"] if "/ws" in addr)
    raw = next(addr for addr in ready["addrs"] if "/ws" not in addr)
    options = {"addr": web, "resource": RESOURCE, "chromium": chromium(), "picture": str(picture())}
    page = context.process("browser", [find_node(), HERE / "js3/browser/run.mjs", json.dumps(options)])
    page.wait_exit(4 * DEADLINE_S)
    result = page.lines[-1] if page.lines else {}
    expect(result.get("event") == "result", f"the page failed: {result}")
    expect(result["answer"]["payload"] == {"answer_to": {"text": "hello from the browser"}}, f"answer {result}")
    expect(result["answer"]["from"] == ready["peer"], f"the answer is not from the node: {result}")
    expect(result["stored"] >= 1, f"nobody stored the resource: {result}")
    got = lp2p(context.build, "discover", "session", RESOURCE["resourceId"], "--peer", raw)
    expect(got["resource"]["data"] == RESOURCE["data"], f"the resource is not found: {got}")


def cases(context):
    yield "a browser (js-libp2p in Chromium): WebSocket, a message both ways, a resource", (why_not,), lambda: browser(context)
