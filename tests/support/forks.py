"""Start our own processes from one that has loaded everything, instead of from nothing.

A process that is started with ``python -m`` spends two seconds on imports before its first line
runs, and the tests start hundreds. So each test process keeps one child that has imported the
product and waits: it forks for each process that is wanted, and the fork runs the module as
``python -m`` would. What is forked is a process like any other: it has its own id, environment,
folder and output, and can be killed or paused. Only what a module reads while it is imported is
shared; ours read nothing then.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

from tests.support.processes import ROOT, clean
from tests.support.waiting import PATIENCE_S

LOADED: Final = (
    "deploy.local.stack",
    "deploy.sandbox.server.app",
    "services.auth.app",
    "services.fetcher.app",
    "services.gateway.app",
    "uvicorn.protocols.http.h11_impl",
)
"""Imported before the first fork. Whatever else a process needs, it imports itself."""
LONGEST: Final = 1 << 17
"""Bytes of a request: an environment, and some words."""


class Forked:
    """A process, with what the tests use of ``subprocess.Popen``. ``stdout`` is None for a file."""

    def __init__(self, pid: int, ended: int, stdout: io.TextIOWrapper | None) -> None:
        """``ended`` is the descriptor from which the status can be read once there is one."""
        self.pid, self._ended, self.stdout = pid, ended, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the status; raise ``subprocess.TimeoutExpired`` if it does not end in time."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            told = os.read(self._ended, 100)
            os.close(self._ended)
            assert told, "the process that forks has ended"
            self.returncode = int(told)
        return self.returncode


class _Parent:
    """The process of this test process that has loaded everything, and forks."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env=clean(os.environ),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

        atexit.register(self.close)

    def close(self) -> None:
        """Let it end. What it has forked goes on."""
        if os.getpid() == self._owner:
            self._asking.close()
            self._process.wait()

    def fork(self, wanted: Mapping[str, Any], *outputs: int) -> int:
        socket.send_fds(self._asking, [json.dumps(wanted).encode()], outputs)
        answer = self._asking.recv(100)
        assert answer, "the process that forks has ended"
        return int(answer)


_parents: dict[int, _Parent] = {}
"""One for each test process, by its id: a test process may itself be a fork."""


def start(
    module: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    stdout: IO[bytes] | IO[str] | None = None,
    stderr: IO[bytes] | IO[str],
) -> Forked:
    """Run a module of ours as ``python -m`` would. Without ``stdout`` its output can be read."""
    parent = _parents.get(os.getpid()) or _parents.setdefault(os.getpid(), _Parent())
    wanted = {"module": module, "arguments": arguments, "cwd": str(cwd), "env": dict(env)}
    ended, tell_end = os.pipe()
    reading, writing = os.pipe() if stdout is None else (None, stdout.fileno())
    try:
        pid = parent.fork(wanted, writing, stderr.fileno(), tell_end)
    finally:
        os.close(tell_end)
        if reading is not None:
            os.close(writing)
    return Forked(pid, ended, None if reading is None else os.fdopen(reading, encoding="utf-8"))


def run(
    module: str, *arguments: str, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a module of ours to its end, without input.

    Raises ``subprocess.TimeoutExpired`` if it hangs.
    """
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        process = start(module, *arguments, cwd=cwd, env=env, stdout=stdout, stderr=stderr)
        try:
            status = process.wait(PATIENCE_S)
        finally:
            process.kill()
        said = []
        for output in (stdout, stderr):
            output.seek(0)
            said.append(output.read().decode())
    return subprocess.CompletedProcess([module, *arguments], status, *said)


def _serve(asked: socket.socket) -> dict[str, Any] | None:
    """Fork for each request, and tell how the forks end. In a fork, return what it has to run."""
    told: dict[int, int] = {}
    woken, wake = _woken_by_ends()
    with selectors.DefaultSelector() as either:
        either.register(asked, selectors.EVENT_READ)
        either.register(woken, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in either.select()]
            if woken in ready:
                os.read(woken, 4096)
                _reap(told)
            if asked not in ready:
                continue
            text, outputs, *_ = socket.recv_fds(asked, LONGEST, 3)
            if not text:
                return None
            pid = os.fork()
            if not pid:
                break
            told[pid] = outputs.pop()
            _close(*outputs)
            asked.send(b"%d" % pid)
    _close(*told.values(), woken, wake)
    asked.close()
    return _settled(json.loads(text), outputs)


def _close(*descriptors: int) -> None:
    for one in descriptors:
        os.close(one)


def _woken_by_ends() -> tuple[int, int]:
    """Return a pipe that can be read when a child has ended, and its other end."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Ctrl-C ends the test process, and with it this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return woken, wake


def _reap(told: dict[int, int]) -> None:
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        output = told.pop(pid)
        os.write(output, b"%d" % os.waitstatus_to_exitcode(status))
        os.close(output)


def _settled(wanted: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Give the fork what it would have been started with."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stdout, stderr, tell_end = outputs
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    _close(stdout, stderr, tell_end)
    os.chdir(wanted["cwd"])
    os.environ.clear()
    os.environ.update(wanted["env"])
    sys.argv = [wanted["module"], *wanted["arguments"]]
    sys.path[0] = wanted["cwd"]
    return wanted


def main() -> None:
    """Load everything, then fork whenever the test process asks."""
    for module in LOADED:
        importlib.import_module(module)
    gc.freeze()
    wanted = _serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
