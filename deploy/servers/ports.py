"""Reserve a port that stays ours while nobody listens on it."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Final

HOST: Final = "127.0.0.1"


class Port:
    """A socket that is bound and never listens.

    The server can listen on the port again and again, and nobody else is given it.
    """

    def __init__(self, number: int = 0) -> None:
        """Reserve the port; ``0`` takes a free one. Raise ``OSError`` if it is taken."""
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, number))
        except OSError:
            self._socket.close()
            raise
        self.number: int = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        return f"{HOST}:{self.number}"

    def close(self) -> None:
        self._socket.close()


def exchange(port: int, request: bytes, *, within: float = 1.0) -> bytes:
    """Return the first bytes of the answer to ``request``.

    Empty if the other side hangs up. Raises ``OSError``.
    """
    with closing(socket.create_connection((HOST, port), within)) as connection:
        connection.settimeout(within)
        connection.sendall(request)
        return connection.recv(1024)
