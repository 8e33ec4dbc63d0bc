"""Start, kill, pause and read one process of a stack."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support import forks
from tests.support.waiting import PATIENCE_S, eventually

TAIL = 4000


class Child:
    """Hold a process that runs ``module``, its name and its arguments.

    ``ready`` tells whether it answers. Its output is appended to ``log``, and it always runs in
    that folder.
    """

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        ready: Callable[[], bool],
    ) -> None:
        self.name, self.module, self.env, self.log, self.ready = (
            name,
            tuple(module),
            dict(env),
            log,
            ready,
        )
        self._lent = False
        self._process: forks.Forked | None = None
        self._read_from = 0

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def state(self) -> str:
        """Return one letter as in ``ps`` (T is stopped), empty when it is gone."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return ""

    @property
    def disturbed(self) -> bool:
        """Return whether it is gone, stopped, or running with settings of its own."""
        return not self.alive or self.state == "T" or self._lent

    def start(self, env: Mapping[str, str] | None = None, *, wait: bool = True) -> None:
        """Start it with extra settings for this life, and normally wait until it answers."""
        assert not self.alive, f"{self.name} runs already"
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = forks.start(
                *self.module,
                cwd=self.log.parent,
                env={**self.env, **(env or {})},
                stdout=log,
                stderr=log,
            )
        self._lent = bool(env)
        if wait:
            self.wait_ready()

    def wait_ready(self, within: float = PATIENCE_S) -> None:
        def answers() -> bool:
            assert self.alive, f"{self.name} ended while it started:\n{self.said()[-TAIL:]}"
            return self.ready()

        eventually(answers, within=within, every=0.02)

    def kill(self) -> None:
        """Kill it with SIGKILL, whatever state it is in."""
        if self.alive:
            self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE_S)

    def restart(self, env: Mapping[str, str] | None = None) -> None:
        self.kill()
        self.start(env)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to end; return the seconds that took."""
        started = time.monotonic()
        self._signal(number)
        self.wait()
        return time.monotonic() - started

    def end(self) -> None:
        """End it, cleanly where possible, so that Kafka does not miss it for ten seconds."""
        if self.alive and self.state != "T":
            self.stop()
        self.kill()

    def wait(self, within: float = PATIENCE_S) -> int:
        """Wait until it ends by itself; return its exit status."""
        assert self._process is not None
        return self._process.wait(within)

    def terminate(self) -> None:
        """Send SIGTERM without waiting."""
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        """Send SIGSTOP and wait until it has stopped."""
        self._signal(signal.SIGSTOP)
        eventually(lambda: self.state == "T", every=0.005)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stopped_at(self, point: str, *, within: float = PATIENCE_S) -> None:
        """Wait until it has stopped itself at this failpoint."""

        def paused() -> bool:
            assert self.alive, f"{self.name} ended before {point}:\n{self.said()[-TAIL:]}"
            return self.state == "T" and f"stopped at failpoint {point}" in self.said()

        eventually(paused, within=within, every=0.01)

    def said(self) -> str:
        """Return what it has printed in this life."""
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
