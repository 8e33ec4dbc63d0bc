"""Start servers for whoever asks, and stop them when nobody is left.

``python -m tests.servers.keeper FOLDER`` returns at once; a process behind it answers at
``FOLDER/socket``. A line names a server, the answer is a line of JSON.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.kafka import Kafka
from deploy.servers import Ended, Postgres, ProgramUnavailable, Redis

PATIENCE_S = 60.0
"""Seconds to wait for the first client: whoever started the keeper may have died."""
LULL_S = 3.0
"""Seconds to wait for another client when the last one was cut off."""

Server = Kafka | Postgres | Redis


class Keeper:
    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self._makers: dict[str, Callable[[], Server]] = {
            "kafka": lambda: Kafka(folder / "kafka", brief=True, tied=True),
            "postgres": lambda: Postgres(
                folder / "postgres", durable=False, options=("max_connections=300",), tied=True
            ),
            "redis": lambda: Redis(tied=True),
        }
        self._servers: dict[str, Server] = {}
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._holders: set[socket.socket] = set()

    def run(self) -> None:
        """Run until the last holder has said goodbye or is gone."""
        patience: float | None = PATIENCE_S
        while events := self._selector.select(patience):
            for key, _ in events:
                one = key.fileobj
                if one is self._listener:
                    self._accept()
                elif isinstance(one, socket.socket):
                    self._hear(one)
            patience = None if self._holders else LULL_S

    def stop(self) -> None:
        for server in self._servers.values():
            server.ask_to_stop()
        for server in self._servers.values():
            server.close()

    def _accept(self) -> None:
        holder, _ = self._listener.accept()
        self._holders.add(holder)
        self._selector.register(holder, selectors.EVENT_READ)

    def _hear(self, holder: socket.socket) -> None:
        said = b""
        with suppress(ConnectionError):
            said = holder.recv(100)
        if said in {b"", b"bye\n"}:
            self._let_go(holder, last_word=said)
        else:
            with suppress(ConnectionError):
                holder.sendall(json.dumps(self._answer(said.decode().strip())).encode() + b"\n")

    def _let_go(self, holder: socket.socket, *, last_word: bytes) -> None:
        """Keep the last one that says goodbye on the line until everything has stopped."""
        self._selector.unregister(holder)
        self._holders.discard(holder)
        if last_word and not self._holders:
            self.stop()
            self._servers = {}
        holder.close()

    def _answer(self, kind: str) -> dict[str, str]:
        server = self._servers.get(kind) or self._makers[kind]()
        self._servers[kind] = server
        try:
            if not server.alive:
                server.start()
        except ProgramUnavailable as reason:
            return {"unavailable": str(reason)}
        except Ended as reason:
            return {"failed": str(reason)}
        return {"url": server.bootstrap if isinstance(server, Kafka) else server.url}


def main(folder: Path) -> None:
    address = folder / "socket"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        if os.fork():
            os._exit(0)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _detach(folder / "keeper.log")
        keeper = Keeper(folder, listener)
        try:
            keeper.run()
        finally:
            keeper.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _detach(log: Path) -> None:
    """Detach from the terminal or pipe of the test run, which would otherwise never end."""
    with Path(os.devnull).open() as nothing, log.open("a") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
