# SPDX-License-Identifier: MIT
"""Processes that talk JSON lines: started, waited on by conditions with deadlines, and ended by their own pid."""
import json
import os
import signal
import subprocess
import threading
import time

SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "check failed")
DEADLINE_S = 30.0 * float(os.environ.get("LP2P_TIME_SCALE", "1"))  # slower lanes (sanitizers) stretch it


class Failed(Exception):
    """A case failed; the text says why."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Process:
    """One process; `lines` are the JSON objects of its standard output in the order of their arrival."""

    def __init__(self, name, argv, cwd=None, env=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.lines = []
        self.errors = []
        self.changed = threading.Condition()
        self.ended = False
        self.process = subprocess.Popen(
            self.argv, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace", bufsize=1)
        self.readers = [threading.Thread(target=self._read_out, daemon=True),
                        threading.Thread(target=self._read_err, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read_out(self):
        for line in self.process.stdout:
            try:
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise ValueError("not an object")
            except ValueError:
                value = {"event": "not-json", "text": line.rstrip("\n")}
            with self.changed:
                self.lines.append(value)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _read_err(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip("\n"))

    def wait_for(self, what, find, deadline_s=None):
        """Returns the first true value of find(lines); fails when the process ends or the time is over."""
        end = time.monotonic() + (deadline_s or DEADLINE_S)
        with self.changed:
            while True:
                found = find(self.lines)
                if found:
                    return found
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "it ended" if self.ended else "in time"
                    raise Failed(f"{self.name}: no {what} ({why}); last lines: {self.tail()}")
                self.changed.wait(left)

    def wait_event(self, event, deadline_s=None, start=0, **members):
        """Waits for an event line with these members, looking from line number `start` on."""
        def find(lines):
            for line in lines[start:]:
                if line.get("event") == event and all(line.get(k) == v for k, v in members.items()):
                    return line
            return None
        return self.wait_for(f"event {event} {members or ''}", find, deadline_s)

    def events(self, event, start=0):
        with self.changed:
            return [line for line in self.lines[start:] if line.get("event") == event]

    def write(self, text):
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError) as err:
            raise Failed(f"{self.name}: it has ended: {self.tail()}") from err

    def wait_exit(self, deadline_s=None):
        """The exit code, after all output was read."""
        try:
            code = self.process.wait(deadline_s or DEADLINE_S)
        except subprocess.TimeoutExpired as err:
            raise Failed(f"{self.name}: still running after {deadline_s or DEADLINE_S:.0f} s; {self.tail()}") from err
        for reader in self.readers:
            reader.join(5)
        return code

    def alive(self):
        return self.process.poll() is None

    def stop(self, deadline_s=None):
        """SIGTERM; the exit code. What does not end in time is killed and fails."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.wait_exit(deadline_s)
        except Failed:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()

    def complaint(self):
        """What a sanitizer or a failed check wrote, or an empty string."""
        text = "\n".join(self.errors)
        return text if any(word in text for word in SANITIZER_WORDS) else ""

    def tail(self):
        out = "; ".join(json.dumps(line)[:300] for line in self.lines[-4:])
        return f"out: {out or 'nothing'}; err: {' | '.join(self.errors[-8:]) or 'nothing'}"
