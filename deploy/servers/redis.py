"""Run the system's Redis, in memory only: its data may be forgotten."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from typing_extensions import override

from deploy.servers.child import Child, Sink
from deploy.servers.commands import installed
from deploy.servers.ports import HOST, Port, exchange

DATABASES: Final = 64


class Redis(Child):
    """A Redis server. Its password lives as long as this object. ``close`` frees the port."""

    def __init__(
        self,
        name: str = "redis",
        *,
        port: int = 0,
        options: str = "",
        sink: Sink | None = None,
        tied: bool = False,
    ) -> None:
        """Take the settings; ``options`` are lines of configuration, such as ``maxmemory 1mb``."""
        super().__init__(name, sink=sink, user="redis", tied=tied)
        self.port = Port(port)
        self._password = secrets.token_urlsafe(24)
        self._options = options
        self._binary = ""

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.port.address}/0"

    @override
    def prepare(self) -> None:
        self._binary = installed("redis-server", ["redis-server"])

    @override
    def command(self) -> list[str]:
        return [self._binary, "-"]

    @override
    def folder(self) -> Path:
        return Path("/")

    @override
    def input(self) -> str:
        """Return the configuration.

        On the command line, everybody could read the password.
        """
        return (
            f"bind {HOST}\nport {self.port.number}\nrequirepass {self._password}\n"
            f"databases {DATABASES}\n"
            f'save ""\nappendonly no\nloglevel warning\n{self._options}\n'
        )

    @override
    def answers(self) -> bool:
        request = f"AUTH {self._password}\r\nPING\r\n".encode()
        return b"+PONG" in exchange(self.port.number, request)

    def close(self) -> None:
        self.stop()
        self.port.close()
