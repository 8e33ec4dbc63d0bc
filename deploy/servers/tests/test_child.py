"""A child process: what happens to it and to those it has started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from typing_extensions import override

from deploy.servers import Child, Ended
from deploy.servers.commands import installed
from deploy.servers.family import family
from deploy.servers.ports import Port
from tests.support.waiting import PATIENCE_S, eventually

ROOT = Path(__file__).parents[3]


STANDING = (psutil.STATUS_STOPPED, psutil.STATUS_DISK_SLEEP)
STOPPED_IN_VFORK = (
    'import ctypes, os, signal; print("ready", flush=True); '
    "ctypes.PyDLL(None).vfork() or os.kill(os.getpid(), signal.SIGSTOP)"
)


class Shell(Child):
    start_within_s = PATIENCE_S

    def __init__(self, script: str, *, tied: bool = False, sink: list[str] | None = None) -> None:
        super().__init__("shell", tied=tied, sink=None if sink is None else sink.append)
        self._script = script

    @override
    def command(self) -> list[str]:
        return ["sh", "-c", self._script]

    @override
    def answers(self) -> bool:
        return "ready" in self.tail()


def runs(pid: int) -> bool:
    """Return True if the process is not gone, and not a zombie either."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_kill_reaches_those_who_left_the_process_group() -> None:
    child = Shell("setsid sleep 60 & echo ready; wait")
    child.start()
    eventually(lambda: "sleep" in [psutil.Process(pid).name() for pid in family(child.pid)])
    both = family(child.pid)
    assert len(both) == 2
    child.kill()
    eventually(lambda: not any(runs(pid) for pid in both))
    assert child.status == -signal.SIGKILL


def test_a_paused_one_stands_still_until_it_is_resumed() -> None:
    child = Shell("echo ready; while :; do sleep 0.01; done")
    child.start()
    child.pause()
    assert psutil.Process(child.pid).status() in STANDING
    child.resume()
    eventually(lambda: psutil.Process(child.pid).status() not in STANDING)
    child.kill()


def test_one_that_waits_for_a_stopped_child_to_start_stands_still_too() -> None:
    """A shell that is paused in the middle of a vfork does; here it happens for certain."""
    child = Shell(f"exec '{sys.executable}' -c '{STOPPED_IN_VFORK}'")
    child.start()
    eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_DISK_SLEEP)
    child.pause()
    assert psutil.Process(child.pid).status() == psutil.STATUS_DISK_SLEEP
    child.kill()


def test_every_line_reaches_the_sink_and_the_last_ones_the_error() -> None:
    lines: list[str] = []
    child = Shell("seq 30; echo a last word >&2; exit 3", sink=lines)
    with pytest.raises(
        Ended, match=r"(?s)shell ended with status 3:.*29\n30\na last word$"
    ) as told:
        child.start()
    assert lines == [*map(str, range(1, 31)), "a last word"]
    assert "\n1\n" not in str(told.value)


def test_a_tied_one_ends_with_its_parent_even_by_kill_9() -> None:
    program = (
        "from deploy.servers.tests.test_child import Shell; import time;"
        "c = Shell('echo ready; exec sleep 60', tied=True); c.start();"
        "print(c.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    eventually(lambda: not runs(pid))


def test_a_server_may_listen_on_a_held_port_and_a_busy_one_is_refused() -> None:
    with closing(Port()) as port:
        with (
            socket.create_server(("127.0.0.1", port.number)),
            pytest.raises(OSError, match="in use"),
        ):
            Port(port.number)
        socket.create_server(("127.0.0.1", port.number)).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who is not")
def test_a_command_that_only_root_could_install_is_named_with_what_would_help() -> None:
    program = (
        "from deploy.servers.commands import installed; "
        "installed('no-such-command', ['its-package'])"
    )
    ended = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "There is no no-such-command here, and only root can install it" in ended.stderr
    assert "sudo apt-get install its-package" in ended.stderr


def test_a_command_that_is_there_is_not_installed() -> None:
    assert installed("sh", ["no-such-package"]).endswith("/sh")
