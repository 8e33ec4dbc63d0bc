"""Run one child process.

It can be started until it answers, killed, paused, stopped, and started again on the same port and
data.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from deploy.servers.commands import as_user
from deploy.servers.family import family, signal_all, stands_still
from shared.exit_codes import Refusal

Sink = Callable[[str], None]
"""Takes each line that a child writes, without its end."""

TAIL_LINES: Final = 15
POLL_S: Final = 0.05


class Ended(Refusal):
    """A child ended, or did not answer in time. The message includes the last lines it wrote."""


class Child(ABC):
    """The behaviour that all children share. Not safe for several threads at once.

    Each child leads a session of its own: Ctrl-C at a terminal reaches only us, and we stop the
    others in order.
    """

    stop_signal = signal.SIGTERM
    stop_within_s = 10.0
    start_within_s = 90.0

    def __init__(
        self, name: str, *, sink: Sink | None = None, user: str | None = None, tied: bool = False
    ) -> None:
        """Take the settings of a child.

        It runs as ``user`` if we are root. If ``tied``, it ends with the thread that started it,
        even by kill -9.
        """
        self.name = name
        self._user = user
        self._tied = tied
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._sink = sink
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool:
        """Return True if it does its work now.

        Takes a second at most, and raises only ``OSError``, which means no.
        """

    def prepare(self) -> None:  # noqa: B027, most have nothing to do
        """Make what is missing. Called before every start."""

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def folder(self) -> Path | None:
        """Return the folder in which it runs, None for our own."""
        return None

    def handles(self) -> tuple[int, ...]:
        """Return the open files that it inherits."""
        return ()

    def input(self) -> str | None:
        """Return what it reads from its standard input."""
        return None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Return its exit status, or minus the number of the signal that ended it.

        None while it runs, and before it has.
        """
        return self._process.poll() if self._process is not None else None

    def tail(self) -> str:
        return "\n".join(self._tail)

    def start(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Start it; return when it answers, or when ``stopping`` says so.

        Raises:
            ProgramUnavailable: it is not available here.
            Ended: it did not start.
        """
        self.spawn()
        self.wait_ready(stopping)

    def wait_ready(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Wait as ``start`` does, after ``spawn``."""
        end = time.monotonic() + self.start_within_s
        while not self.ready() and not stopping():
            if not self.alive:
                self.kill()
                raise Ended(f"{self.name} ended with status {self.status}:\n{self.tail()}")
            if time.monotonic() > end:
                self.kill()
                raise Ended(
                    f"{self.name} does not answer after {self.start_within_s:.0f} s:\n{self.tail()}"
                )
            time.sleep(POLL_S)

    def ready(self) -> bool:
        try:
            return self.alive and self.answers()
        except OSError:
            return False

    def spawn(self) -> None:
        """Start it without waiting."""
        if self.alive:
            raise Ended(f"{self.name} is running already")
        self._reap()
        self.prepare()
        given = self.input()
        self._process = subprocess.Popen(  # noqa: S603, the command is ours
            [*as_user(self._user, tied=self.stop_signal if self._tied else None), *self.command()],
            stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self.environment()),
            cwd=self.folder(),
            pass_fds=self.handles(),
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._pump, args=[self._process.stdout], daemon=True)
        self._reader.start()
        if given is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError), self._process.stdin as pipe:
                pipe.write(given)

    def _pump(self, lines: IO[str]) -> None:
        for line in lines:
            self._tail.append(line.rstrip("\n"))
            if self._sink is not None:
                self._sink(line.rstrip("\n"))

    def kill(self) -> None:
        """Kill it with SIGKILL, with everything it has started; return when it is gone."""
        if self.alive:
            signal_all(family(self.pid), signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """Return when it stands still; its connections stay open."""
        signal_all(family(self.pid), signal.SIGSTOP)
        while self.alive and not stands_still(self.pid):
            time.sleep(0.001)

    def resume(self) -> None:
        signal_all(list(reversed(family(self.pid))), signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Ask it to stop without waiting. A paused one is resumed, or it would not notice."""
        if self.alive:
            signal_all([self.pid], self.stop_signal)
            self.resume()

    def stop(self) -> bool:
        """Ask it to stop, kill it if it is late; return True if it stopped by itself."""
        self.ask_to_stop()
        by_itself = self.wait(self.stop_within_s)
        self.kill()
        return by_itself

    def wait(self, seconds: float) -> bool:
        """Return True once it has ended, False if that takes more than ``seconds``."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _reap(self) -> None:
        if self._process is None or self._reader is None or self._process.stdout is None:
            return
        self._process.wait()
        self._reader.join(2)  # a grandchild that outlives it may hold the pipe open for ever
        if not self._reader.is_alive():
            self._process.stdout.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise Ended(f"{self.name} was not started")
        return self._process
