"""Run the system's PostgreSQL on a data folder of ours."""

from __future__ import annotations

import signal
import struct
from pathlib import Path
from typing import Final

from typing_extensions import override

from deploy.servers.child import Child, Sink
from deploy.servers.cluster import DATABASE, ROLE, USER, DataFolder, binaries, make
from deploy.servers.ports import HOST, Port, exchange
from deploy.servers.secret import kept_password

PROTOCOL: Final = 196_608
RELAXED: Final = ("fsync=off", "full_page_writes=off")


class Postgres(Child):
    """A PostgreSQL server.

    ``url`` is a database named ``tributary``, owned by the role in the URL. ``close`` stops it and
    frees the port.
    """

    # PostgreSQL's "fast" shutdown: open transactions are rolled back, clients disconnected.
    stop_signal = signal.SIGINT

    def __init__(
        self,
        data: Path,
        name: str = "postgres",
        *,
        port: int = 0,
        durable: bool = True,
        options: tuple[str, ...] = (),
        sink: Sink | None = None,
        tied: bool = False,
    ) -> None:
        """Take the settings of the server; ``options`` are ``name=value``.

        With ``durable=False`` data survives kill -9 of the server, but not a crash of the machine.
        """
        super().__init__(name, sink=sink, user=USER, tied=tied)
        self.data = data.absolute()
        self.port = Port(port)
        self._options = (*options, *(() if durable else RELAXED))
        self._open: DataFolder | None = None

    @property
    def url(self) -> str:
        return self.url_at(self.data, self.port.number)

    @staticmethod
    def url_at(data: Path, port: int) -> str:
        """Return the URL of the server that runs on ``data`` and listens on ``port``."""
        return f"postgresql://{ROLE}:{_password(data)}@{HOST}:{port}/{DATABASE}"

    @override
    def prepare(self) -> None:
        make(self.data, _password(self.data))
        if self._open is None:
            self._open = DataFolder(self.data)

    @override
    def command(self) -> list[str]:
        settings = (
            f"listen_addresses={HOST}",
            f"port={self.port.number}",
            "unix_socket_directories=",
            *self._options,
        )
        where = [] if self._open is None else ["-D", self._open.path]
        return [
            f"{binaries()}/postgres",
            *where,
            *(word for one in settings for word in ("-c", one)),
        ]

    @override
    def folder(self) -> Path:
        return Path("/")

    @override
    def handles(self) -> tuple[int, ...]:
        return () if self._open is None else (self._open.handle,)

    @override
    def answers(self) -> bool:
        """Return True if it asks for a password.

        It does so only when it takes connections; before, and while it recovers, it sends an error.
        """
        parameters = f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
        return (
            exchange(
                self.port.number, struct.pack(">ii", len(parameters) + 8, PROTOCOL) + parameters
            )[:1]
            == b"R"
        )

    def close(self) -> None:
        self.stop()
        self.port.close()
        if self._open is not None:
            self._open.close()
            self._open = None


def _password(data: Path) -> str:
    return kept_password(data.with_name(f"{data.name}-password"))
