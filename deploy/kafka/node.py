"""Run a single-node Kafka as a child process."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

from typing_extensions import override

from deploy.kafka import jvm
from deploy.kafka.jars import CACHE, alone, class_path
from deploy.kafka.properties import Listener, NodeProperties
from deploy.servers.child import Child, Ended, Sink
from deploy.servers.ports import Port, exchange

API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""The one request that needs no sign-in: size, key, version, correlation id, no client id."""


class Kafka(Child):
    """A Kafka node.

    Clients use ``bootstrap``, those who sign in use ``signed_in``, and ``direct`` bypasses what
    ``advertised`` names. Data and ports survive restarts, even after ``kill``. ``close`` stops it
    and frees the ports.
    """

    stop_within_s = 30.0

    def __init__(
        self,
        folder: Path,
        name: str = "kafka",
        *,
        port: int = 0,
        advertised: str | None = None,
        users: Mapping[str, str] | None = None,
        extra: Mapping[str, str] | None = None,
        heap_mb: int = 512,
        brief: bool = False,
        archive_to: Path | None = None,
        sink: Sink | None = None,
        tied: bool = False,
    ) -> None:
        """Take the settings of the node.

        ``advertised`` is the host:port of a proxy that clients stay behind. ``users`` open a SASL
        listener. ``extra`` are lines of ``server.properties`` and win over ours. ``brief`` starts
        sooner and runs slower. ``archive_to`` is written when the node ends: the classes it loaded,
        for a faster start of all others.
        """
        super().__init__(name, sink=sink, tied=tied)
        self.directory = folder.absolute()
        self._heap_mb, self._brief = heap_mb, brief
        self._archive_to = archive_to
        self.port = Port(port)
        self._controller, self._direct, self._sasl = Port(), Port(), Port()
        self._node = NodeProperties(
            log=self.directory / "log",
            controller=self._controller.address,
            listeners=(
                Listener("PLAINTEXT", self.port.address, advertised=advertised),
                *([Listener("DIRECT", self._direct.address)] if advertised else []),
                *([Listener("SASL", self._sasl.address, "SASL_PLAINTEXT")] if users else []),
            ),
            users=users or {},
            extra=extra or {},
        )

    @property
    def bootstrap(self) -> str:
        return self.port.address

    @property
    def direct(self) -> str:
        return self._direct.address

    @property
    def signed_in(self) -> str:
        return self._sasl.address

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    @override
    def prepare(self) -> None:
        class_path()
        if self._archive_to is None:
            _make_archive()
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = "".join(f"{name}={value}\n" for name, value in self._node.properties().items())
        # For the owner only: it may hold passwords of SASL users.
        handle = os.open(self._configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(lines)
        if not (self._node.log / "meta.properties").exists():
            self._format()

    def _format(self) -> None:
        shutil.rmtree(self._node.log, ignore_errors=True)
        identity = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        arguments = ["format", "--config", str(self._configuration), f"--cluster-id={identity}"]
        tool = jvm.run("kafka.tools.StorageTool", *arguments, heap_mb=64, brief=True)
        ended = subprocess.run(  # noqa: S603, the command is ours
            [*tool, *self._node.credentials()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise Ended(f"{self.name}: could not format its storage: {ended.stderr.strip()}")

    @override
    def command(self) -> list[str]:
        return jvm.run(
            "kafka.Kafka",
            str(self._configuration),
            heap_mb=self._heap_mb,
            brief=self._brief,
            archive_to=self._archive_to,
        )

    @override
    def answers(self) -> bool:
        """Return True once the node has recovered its log and leads its partitions."""
        return len(exchange(self.port.number, API_VERSIONS)) > len(API_VERSIONS)

    def close(self) -> None:
        self.stop()
        for port in (self.port, self._controller, self._direct, self._sasl):
            port.close()


def _make_archive() -> None:
    """Make the archive of classes, once per Java and Kafka.

    Java writes it when it ends, so a node is started and stopped for it.
    """
    if jvm.archive().exists():
        return
    with alone(), TemporaryDirectory(dir=CACHE, prefix="archiving-") as folder:
        if jvm.archive().exists():
            return
        made = Path(folder) / "classes.jsa"
        with closing(Kafka(Path(folder), "kafka, to archive its classes", archive_to=made)) as node:
            node.start()
        made.rename(jvm.archive())
