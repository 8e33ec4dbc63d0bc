"""One child process: started until it answers, killed, paused, stopped, and started again on the same port and data."""

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
from deploy.servers.family import family, signal_all, stopped
from shared.exit_codes import Refusal

Sink = Callable[[str], None]
"""Takes each line a child writes, without its end."""

TAIL_LINES: Final = 15
POLL_S: Final = 0.05


class Ended(Refusal):
    """A child ended, or did not answer in time; the last lines it wrote are part of the message."""


class Child(ABC):
    """What all have in common. Not for several threads at once.

    Each child leads a session of its own: Ctrl-C at a terminal reaches only us, and we stop the others in order.
    """

    stop_signal = signal.SIGTERM
    stop_within_s = 10.0
    start_within_s = 90.0

    def __init__(
        self, name: str, *, sink: Sink | None = None, user: str | None = None, tied: bool = False
    ) -> None:
        """``user`` to run as when we are root. ``tied``: it ends with the thread that started it, even by kill -9."""
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
        """Whether it does its work now; takes a second at most and raises only ``OSError``, which means no."""

    def prepare(self) -> None:  # noqa: B027, most have nothing to do
        """Called before every start: makes what is missing."""

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def folder(self) -> Path | None:
        """Where it runs; not given, where we do."""
        return None

    def handles(self) -> tuple[int, ...]:
        """Open files it inherits."""
        return ()

    def input(self) -> str | None:
        """What it reads from its standard input."""
        return None

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """How it ended: an exit status, or minus the number of a signal. None while it runs or before it has."""
        return self._process.poll() if self._process is not None else None

    def tail(self) -> str:
        return "\n".join(self._tail)

    def start(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Returns when it answers, or when ``stopping`` says so.

        Raises:
            ProgramUnavailable: it cannot be had here.
            Ended: it did not come up.
        """
        self.spawn()
        self.wait_ready(stopping)

    def wait_ready(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """As ``start``, of what was spawned."""
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
        """Start it and do not wait."""
        if self.alive:
            raise Ended(f"{self.name} runs already")
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
        """By SIGKILL, with everything it has started; returns when it is gone."""
        if self.alive:
            signal_all(family(self.pid), signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """Returns when it stands still; its connections stay open."""
        signal_all(family(self.pid), signal.SIGSTOP)
        while self.alive and not stopped(self.pid):
            time.sleep(0.001)

    def resume(self) -> None:
        signal_all(list(reversed(family(self.pid))), signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Does not wait; a paused one is woken, or it would not hear."""
        if self.alive:
            signal_all([self.pid], self.stop_signal)
            self.resume()

    def stop(self) -> bool:
        """Ask it to stop, and kill it when it does not in time; returns whether it did by itself."""
        self.ask_to_stop()
        by_itself = self.wait(self.stop_within_s)
        self.kill()
        return by_itself

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after ``seconds``."""
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
