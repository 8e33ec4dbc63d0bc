"""Start the processes of a stack in order, restart what dies, and stop everything in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from deploy.native.service import OneShot
from deploy.servers import Child, Ended, ProgramUnavailable

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 15.0
SETTLED_S: Final = 30.0
"""A process that has lived this long starts again after the first, short pause."""
POLL_S: Final = 0.2
STOP_WITHIN_S: Final = (10.0, 5.0)


class Processes(Protocol):
    """Hold ``servers`` and ``services`` by name, in the order in which they start.

    ``setup`` runs between the two.
    """

    @property
    def servers(self) -> Mapping[str, Child]: ...

    @property
    def services(self) -> Mapping[str, Child]: ...

    def setup(self) -> OneShot: ...


@dataclass
class Care:
    """The supervisor's notes about one child. Times are of the monotonic clock."""

    since: float
    pause: float = 0.0
    due: float | None = None
    died: float | None = None


class Supervisor:
    """Supervise a stack.

    ``say`` takes sentences for the person at the terminal; ``stopping`` ends every wait.
    """

    def __init__(
        self,
        stack: Processes,
        *,
        say: Callable[[str], None],
        stopping: Callable[[], bool],
        stop_within_s: tuple[float, float] = STOP_WITHIN_S,
    ) -> None:
        """Give services and servers these times to stop: ``stop_within_s``."""
        self._stack = stack
        self._stop_within_s = stop_within_s
        self._say = say
        self._stopping = stopping
        self._cares: dict[str, Care] = {}

    def start(self) -> None:
        """Start servers, setup and services; return when all answer, or when it is to stop.

        Raises:
            ProgramUnavailable: a server is not available here.
            Ended: something did not start; its last lines say why.
        """
        self._start(self._stack.servers.values())
        if not self._stopping():
            self._stack.setup().run(self._stopping)
        self._start(self._stack.services.values())

    def _start(self, children: Iterable[Child]) -> None:
        """Start these side by side, and look after those that were started before."""
        waiting = [child for child in children if not self._stopping()]
        for child in waiting:
            child.spawn()
            self._cares[child.name] = Care(since=time.monotonic())
        while waiting and not self._stopping():
            for child in waiting:
                self._refuse(child)
            self._look_after_all()
            waiting = [child for child in waiting if not child.ready()]
            time.sleep(POLL_S)

    def _refuse(self, child: Child) -> None:
        """Raise ``Ended`` if the child will never start.

        A child that ends by itself, or is late, while all servers answer has a reason that will not
        pass.
        """
        ended = not child.alive and (child.status or 0) > 0
        late = (
            child.alive and time.monotonic() - self._cares[child.name].since > child.start_within_s
        )
        if not (ended or late):
            return
        others = [server for server in self._stack.servers.values() if server != child]
        if not all(server.ready() for server in others):
            return
        how = f"does not answer after {child.start_within_s:.0f} s"
        if ended:
            how = f"ended with status {child.status}"
        child.kill()
        raise Ended(f"{child.name} {how}:\n{child.tail()}")

    def watch(self) -> None:
        """Restart what dies, until it is to stop."""
        while not self._stopping():
            self._look_after_all()
            time.sleep(POLL_S)

    def _look_after_all(self) -> None:
        for child in (*self._stack.servers.values(), *self._stack.services.values()):
            if child.name in self._cares:
                self._look_after(child)

    def _look_after(self, child: Child) -> None:
        """Notice a death, restart what is due, and say when it answers again."""
        care, now = self._cares[child.name], time.monotonic()
        if not child.alive and care.due is None:
            care.pause = FIRST_PAUSE_S if now - care.since > SETTLED_S else _longer(care.pause)
            care.due = now + care.pause
            care.died = care.died or now
            self._say(f"{child.name} {_how(child.status)}; it starts again in {care.pause:g} s.")
        elif care.due is not None and now >= care.due:
            care.due, care.since = None, now
            self._spawn(child)
        elif care.died is not None and child.alive and child.ready():
            self._say(f"{child.name} answers again, after {now - care.died:.1f} s.")
            care.died = None

    def _spawn(self, child: Child) -> None:
        try:
            child.spawn()
        except (Ended, ProgramUnavailable, OSError) as reason:
            self._say(f"{child.name} cannot be started: {reason}")

    def stop(self) -> None:
        """Stop the gateway first, so that nobody is let in, and the servers last.

        So everyone can finish. Whoever takes too long is killed: all of them are built to survive
        that.
        """
        services, servers = self._stop_within_s
        self._stop(list(self._stack.services.values()), services)
        self._stop(list(self._stack.servers.values()), servers)

    def _stop(self, children: list[Child], within: float) -> None:
        end = time.monotonic() + within
        for child in reversed(children):
            child.ask_to_stop()
        for child in children:
            if not child.wait(max(0.0, end - time.monotonic())):
                self._say(f"{child.name} did not stop in time and was killed.")
            child.kill()


def _longer(pause: float) -> float:
    return min(pause * 2, LONGEST_PAUSE_S) or FIRST_PAUSE_S


def _how(status: int | None) -> str:
    if status is None:
        return "could not be started"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
