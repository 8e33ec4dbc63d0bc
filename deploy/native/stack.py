"""List the processes of an installation, and tell each its settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final, Self, TypeVar

from deploy.kafka import Kafka
from deploy.native.service import OneShot, Service
from deploy.servers import Child, Postgres, Redis, Sink
from shared.installation import addresses
from shared.serve import bind
from shared.settings import Settings

PORT_STEP: Final = 10
"""The second fetcher listens ten ports above the first, and so on."""
OPTIONS: Final = ("log_checkpoints=off", "max_connections=200")

Owned = TypeVar("Owned", Kafka, Postgres, Redis, Service)


class Stack:
    """Hold ``servers`` and ``services`` by name, in the order in which they start.

    Servers that the settings name are not ours. Processes keep their ports and data over restarts;
    leaving the context stops what runs and frees the ports.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        fetchers: int = 1,
        sandbox: bool = True,
        fetcher_ports: Sequence[int] = (),
        environ: Mapping[str, str] = os.environ,
        sink: Callable[[str], Sink] = lambda _: lambda _: None,
        brief: bool = False,
        tied: bool = False,
    ) -> None:
        """Take all ports; start nothing.

        ``environ`` is what ``settings`` were read from. ``brief`` means a Kafka that starts sooner
        and runs slower.

        Raises:
            PortBusy: names the port and its setting.
        """
        self.settings = settings
        self.servers: dict[str, Child] = {}
        self.services: dict[str, Child] = {}
        self._sink, self._tied = sink, tied
        self._told = {**environ, "TRIBUTARY_DATA_DIR": str(settings.data_dir.absolute())}
        with ExitStack() as opened:
            self._opened = opened
            self._add_servers(brief=brief)
            if sandbox and any(provider.simulated for provider in settings.providers.values()):
                self._add_sandbox()
            self._add("auth", settings.auth_port)
            ports = fetcher_ports or [
                settings.fetcher_port + number * PORT_STEP for number in range(fetchers)
            ]
            for number, port in enumerate(ports, start=1):
                self._add("fetcher", port, f"fetcher-{number}", TRIBUTARY_FETCHER_PORT=str(port))
            self._add("gateway", settings.gateway_port)
            self._opened = opened.pop_all()

    def __getitem__(self, name: str) -> Child:
        return {**self.servers, **self.services}[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._opened.close()

    def setup(self) -> OneShot:
        """Return the job that makes secrets, schemas and topics. The servers have to answer."""
        return OneShot(
            "setup", ["deploy.setup"], environ=self._told, sink=self._sink("setup"), tied=self._tied
        )

    def _add_servers(self, *, brief: bool) -> None:
        settings, tied = self.settings, self._tied
        data = settings.data_dir.absolute()
        if settings.kafka.bootstrap == f"127.0.0.1:{settings.kafka_port}":
            bind(settings.kafka_port, what="Kafka", setting="TRIBUTARY_KAFKA_PORT")[0].close()
            folder, port = data / "apache-kafka", settings.kafka_port
            self.servers["kafka"] = self._own(
                Kafka(folder, port=port, brief=brief, sink=self._sink("kafka"), tied=tied)
            )
        if settings.database_url is None:
            postgres = self._own(
                Postgres(data / "postgres", options=OPTIONS, sink=self._sink("postgres"), tied=tied)
            )
            self.servers["postgres"] = postgres
            self._told["TRIBUTARY_DATABASE_URL"] = postgres.url
        if settings.redis_url is None:
            redis = self._own(Redis(sink=self._sink("redis"), tied=tied))
            self.servers["redis"] = redis
            self._told["TRIBUTARY_REDIS_URL"] = redis.url

    def _add_sandbox(self) -> None:
        settings = self.settings
        port, host = settings.sandbox_port, settings.internal_host
        where = [
            "--port",
            str(port),
            "--host",
            host,
            "--data-dir",
            self._told["TRIBUTARY_DATA_DIR"],
        ]
        origins = ["--return-origins", ",".join(settings.allowed_origins)]
        module = ["deploy.sandbox", *where, "--public-url", settings.public_url, *origins]
        self._serve("sandbox", module, "sandbox", (host, port), {})

    def _add(self, service: str, port: int, name: str | None = None, **told: str) -> None:
        host = addresses(self.settings)[service]
        self._serve(name or service, [f"services.{service}"], service, (host, port), told)

    def _serve(
        self,
        name: str,
        module: Sequence[str],
        service: str,
        address: tuple[str, int],
        told: Mapping[str, str],
    ) -> None:
        host, port = address
        self.services[name] = self._own(
            Service(
                name,
                module,
                address=address,
                reserved=bind(
                    port, what=name, setting=f"TRIBUTARY_{service.upper()}_PORT", host=host
                ),
                environ={**self._told, **told},
                sink=self._sink(name),
                tied=self._tied,
            )
        )

    def _own(self, child: Owned) -> Owned:
        self._opened.callback(child.close)
        return child
