"""Run the same stack on Apache Kafka, PostgreSQL and Redis."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from deploy.kafka import Kafka
from deploy.servers import Postgres, Redis, Sink
from tests.chaos.server import Server
from tests.chaos.stack import HOST, Stack


class RealStack(Stack):
    """Add broker, postgres and redis to ``children``; each may have a proxy before it."""

    servers: tuple[str, ...] = ("postgres", "redis")
    setup_options: tuple[str, ...] = ()
    kind = "real"
    fetcher = "services.fetcher"
    kafka: Kafka
    postgres: Postgres
    redis: Redis

    @override
    def _settings(self) -> dict[str, str]:
        advertised = f"{HOST}:{self.reached('broker')}"
        folder, broker, database = self.folder, self.port("broker"), self.port("postgres")
        self.kafka = Kafka(
            folder / "kafka",
            "broker",
            port=broker,
            advertised=advertised,
            brief=True,
            sink=self._sink("broker"),
        )
        self.postgres = Postgres(
            folder / "pg" / "data",
            port=database,
            durable=False,
            options=OPTIONS,
            sink=self._sink("postgres"),
        )
        self.redis = Redis(port=self.port("redis"), sink=self._sink("redis"))
        return super()._settings() | {
            "TRIBUTARY_DATABASE_URL": self._through(self.postgres.url, "postgres"),
            "TRIBUTARY_REDIS_URL": self._through(self.redis.url, "redis"),
        }

    def _through(self, url: str, name: str) -> str:
        return url.replace(f":{self.port(name)}/", f":{self.reached(name)}/")

    @override
    def _declare_servers(self) -> None:
        for name, program in (
            ("broker", self.kafka),
            ("postgres", self.postgres),
            ("redis", self.redis),
        ):
            self.children[name] = Server(program, log=self._log(name))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _sink(self, name: str) -> Sink:
        def append(line: str) -> None:
            with suppress(OSError), self._log(name).open("a") as log:
                log.write(f"{line}\n")

        return append

    @override
    def close(self) -> None:
        super().close()
        for program in (self.kafka, self.postgres, self.redis):
            program.close()


OPTIONS = ("max_connections=100",)
