"""Run Python processes of ours as children: services, the sandbox, and jobs that end."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from socket import socket
from typing import Final

from typing_extensions import override

from deploy.servers import Child, Ended, Sink

HEALTH: Final = "/health/ready"
POLL_S: Final = 0.05
WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104, compared, not bound


class Module(Child):
    """Run ``python -m`` with some arguments. ``environ`` is all it is told."""

    stop_within_s = 12.0

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        *,
        environ: Mapping[str, str],
        sink: Sink | None,
        tied: bool = False,
    ) -> None:
        super().__init__(name, sink=sink, tied=tied)
        self._module = module
        self._environ = environ

    @override
    def command(self) -> list[str]:
        return [sys.executable, "-m", *self._module]

    @override
    def environment(self) -> Mapping[str, str]:
        return {**self._environ, "PYTHONUNBUFFERED": "1"}


class Service(Module):
    """Serve HTTP at ``address``.

    ``reserved`` are sockets that keep its port. ``close`` stops it and closes them.
    """

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        *,
        address: tuple[str, int],
        reserved: Sequence[socket],
        environ: Mapping[str, str],
        sink: Sink | None,
        tied: bool = False,
    ) -> None:
        super().__init__(name, module, environ=environ, sink=sink, tied=tied)
        self.address = (WILDCARDS.get(address[0], address[0]), address[1])
        self._reserved = reserved

    @override
    def answers(self) -> bool:
        """Return True if it is ready, which includes what it depends on."""
        with closing(http.client.HTTPConnection(*self.address, timeout=1)) as connection:
            try:
                connection.request("GET", HEALTH)
                return connection.getresponse().status == http.HTTPStatus.OK
            except http.client.HTTPException:
                return False

    def close(self) -> None:
        self.stop()
        for one in self._reserved:
            one.close()


class OneShot(Module):
    """Run to the end."""

    @override
    def answers(self) -> bool:
        return self.alive

    def run(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Return when it has ended well, or when ``stopping`` says so.

        Raises ``Ended`` with its last lines.
        """
        self.spawn()
        while self.alive and not stopping():
            time.sleep(POLL_S)
        status = self.status
        self.stop()
        if status:
            raise Ended(self.tail() or f"{self.name} ended with status {status}.")
