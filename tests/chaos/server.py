"""Control a real server of a stack in the way its other processes are controlled."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from deploy.servers.child import Child as Program
from tests.chaos.child import Child
from tests.support.waiting import PATIENCE_S


class Server(Child):
    """Hold a server; ``program`` writes its lines through ``sink_to(log)``."""

    def __init__(self, program: Program, *, log: Path) -> None:
        super().__init__(program.name, (), env={}, log=log, ready=program.ready)
        self._program = program

    @property
    @override
    def pid(self) -> int:
        return self._program.pid

    @property
    @override
    def alive(self) -> bool:
        return self._program.alive

    @override
    def start(self, env: Mapping[str, str] | None = None, *, wait: bool = True) -> None:
        assert not env, "a server takes no settings of ours"
        self._program.spawn()
        if wait:
            self.wait_ready()

    @override
    def wait_ready(self, within: float = PATIENCE_S) -> None:
        super().wait_ready(within)

    @override
    def kill(self) -> None:
        self._program.kill()

    @override
    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        started = time.monotonic()
        self._program.stop()
        return time.monotonic() - started

    @override
    def wait(self, within: float = PATIENCE_S) -> int:
        assert self._program.wait(within)
        return self._program.status or 0

    @override
    def terminate(self) -> None:
        self._program.ask_to_stop()

    @override
    def pause(self) -> None:
        self._program.pause()

    @override
    def resume(self) -> None:
        self._program.resume()

    @override
    def said(self) -> str:
        return self._program.tail()
