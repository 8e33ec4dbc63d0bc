"""Start the product for the benchmarks, in one process or several, on free ports and new data."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import final

import httpx
import psutil
from typing_extensions import override

from benchmarks.processes import SANDBOX, Part, Running
from deploy.kafka import Kafka
from deploy.servers import Child, Postgres, Redis
from deploy.servers.child import Sink
from tests.support.client import Client
from tests.support.ports import reserved_ports
from tests.support.processes import ROOT, clean
from tests.support.product import PORTS

HOST = "127.0.0.1"
PRODUCT: tuple[str, ...] = ("-m", "deploy.local")


@final
class Program(Child):
    """Describe a module of ours that is started.

    It is ready when ``port`` says so, or takes connections if that is not an HTTP port.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], *, port: int, setting: Mapping[str, str]
    ) -> None:
        super().__init__(
            name, sink=_into(Path(setting["TRIBUTARY_DATA_DIR"]).with_name(f"{name}-{port}.log"))
        )
        self._arguments, self._port, self._setting = arguments, port, setting

    @override
    def command(self) -> list[str]:
        return [sys.executable, *self._arguments]

    @override
    def environment(self) -> Mapping[str, str]:
        """Return the environment without the caller's settings, those of a .env included."""
        return {**clean(os.environ), "PYTHONPATH": str(ROOT), **self._setting}

    @override
    def folder(self) -> Path:
        return Path(self._setting["TRIBUTARY_DATA_DIR"]).parent

    @override
    def answers(self) -> bool:
        if self.name == "broker":
            socket.create_connection((HOST, self._port), timeout=1).close()
            return True
        try:
            return (
                httpx.get(f"http://{HOST}:{self._port}/health/ready", trust_env=False).status_code
                == 200
            )
        except httpx.TransportError:
            return False


def _into(log: Path) -> Sink:
    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")

    return write


class Site:
    """Hold ports, settings and the programs started on them; all are gone when ``stack`` closes."""

    def __init__(self, folder: Path, stack: ExitStack, ports: Sequence[str]) -> None:
        self._stack = stack
        reserved = [stack.enter_context(one) for one in reserved_ports(len(ports))]
        self.ports = {
            name: int(one.getsockname()[1]) for name, one in zip(ports, reserved, strict=True)
        }
        self.data = folder / "data"
        self.data.mkdir(parents=True, mode=0o700)
        self.settings = {
            f"TRIBUTARY_{name}_PORT": str(self.ports[name]) for name in PORTS if name in self.ports
        } | {
            "TRIBUTARY_DATA_DIR": str(self.data),
            "TRIBUTARY_LOG_FORMAT": "json",
        }
        self.client = Client(
            url=f"http://localhost:{self.ports['GATEWAY']}",
            sandbox=f"http://{HOST}:{self.ports['SANDBOX']}",
            bootstrap=f"{HOST}:{self.ports['KAFKA']}",
        )
        stack.callback(self.client.http.close)

    def started(self, name: str, *arguments: str, port: int, **setting: str) -> Part:
        program = Program(name, arguments, port=port, setting=self.settings | setting)
        self._stack.callback(program.stop)
        program.start()
        return Part(name, psutil.Process(program.pid))

    def sandbox(self) -> Part:
        port = self.ports["SANDBOX"]
        options = (
            "--port",
            str(port),
            "--data-dir",
            str(self.data),
            "--public-url",
            self.client.url,
        )
        return self.started(SANDBOX, "-m", "deploy.sandbox", *options, port=port)

    def server(self, name: str, server: Kafka | Postgres | Redis) -> Part:
        self._stack.callback(server.close)
        server.start()
        return Part(name, psutil.Process(server.pid))

    def set_up(self, *options: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "deploy.setup", *options],
            cwd=self.data.parent,
            env={**clean(os.environ), "PYTHONPATH": str(ROOT), **self.settings},
            stdout=subprocess.DEVNULL,
            check=True,
        )


@contextmanager
def one_process(folder: Path, command: Sequence[str] = PRODUCT) -> Iterator[Running]:
    """Run the product in one process; ``command`` is what the interpreter is given as arguments."""
    with ExitStack() as stack:
        site = Site(folder, stack, PORTS)
        sandbox = site.sandbox()
        product = site.started("product", *command, "--no-sandbox", port=site.ports["GATEWAY"])
        yield Running(site.client, (product, sandbox))


@contextmanager
def processes(
    folder: Path, *, fetchers: int = 1, real: bool = False, samples: Path | None = None
) -> Iterator[Running]:
    """Run each service in a process of its own; ``samples`` is a folder for records of CPU time.

    ``real`` uses Kafka, PostgreSQL and Redis; otherwise the built-in broker runs as a process of
    its own, with SQLite.

    Raises:
        ProgramUnavailable: a server cannot be downloaded or found.
    """
    named = [f"FETCHER{number}" for number in range(1, fetchers + 1)]
    with ExitStack() as stack:
        site = Site(folder, stack, ("GATEWAY", "AUTH", "SANDBOX", "KAFKA", *named))
        servers = _servers(site, folder) if real else [_broker(site)]
        sandbox = site.sandbox()
        site.set_up(*([] if real else ["--local-broker"]))
        parts = [_service(site, "auth", "AUTH", samples)]
        parts += [_service(site, "fetcher", name, samples) for name in named]
        parts.append(_service(site, "gateway", "GATEWAY", samples))
        yield Running(site.client, (*parts, *servers, sandbox))


def _service(site: Site, name: str, place: str, samples: Path | None) -> Part:
    port, sampling = (
        site.ports[place],
        () if samples is None else ("benchmarks.sampling", str(samples / place)),
    )
    settings = {f"TRIBUTARY_{name.upper()}_PORT": str(port)}
    return site.started(name, "-m", *sampling, f"services.{name}", port=port, **settings)


def _broker(site: Site) -> Part:
    port = site.ports["KAFKA"]
    options = ("--data-dir", str(site.data / "kafka"), "--port", str(port))
    return site.started("broker", "-m", "deploy.localkafka", *options, port=port)


def _servers(site: Site, folder: Path) -> list[Part]:
    kafka, postgres, redis = (
        Kafka(folder / "kafka"),
        Postgres(folder / "postgres" / "data"),
        Redis(),
    )
    parts = [
        site.server("Kafka", kafka),
        site.server("PostgreSQL", postgres),
        site.server("Redis", redis),
    ]
    site.settings |= {
        "TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "TRIBUTARY_DATABASE_URL": postgres.url,
        "TRIBUTARY_REDIS_URL": redis.url,
    }
    return parts
