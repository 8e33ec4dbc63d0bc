"""Reserve free ports."""

from __future__ import annotations

import socket


def reserved_ports(count: int) -> list[socket.socket]:
    """Return sockets on free ports, all different.

    They never listen: a server that binds with SO_REUSEADDR can use the port, and nobody else gets
    it.
    """
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
    return taken
