"""Run Tributary as separate processes on free ports, with a proxy before what a test cuts off."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.chaos.child import TAIL, Child
from tests.chaos.customer import Customer
from tests.chaos.proxy import Network, Proxy
from tests.chaos.topic import Topic
from tests.support import forks
from tests.support.client import RESOURCES
from tests.support.clock import MovableClock
from tests.support.ports import reserved_ports
from tests.support.processes import clean
from tests.support.waiting import PATIENCE_S

HOST = "127.0.0.1"


class Stack:
    """Hold a running stack.

    ``children`` by name: broker, sandbox, auth, gateway, fetcher1… and ``extra``, which ``start``
    leaves alone. ``proxies`` by what they stand before; what is not in ``proxied`` is reached
    directly. Processes keep their ports and data over restarts.
    """

    servers: tuple[str, ...] = ()
    """Names of the servers that have to run as well."""
    setup_options: tuple[str, ...] = ("--local-broker",)
    kind = "local"
    fetcher = "tests.chaos.fetcher"

    def __init__(
        self,
        folder: Path,
        *,
        fetchers: int = 1,
        spare: int = 0,
        proxied: Collection[str] = (),
        **settings: str,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.clock = MovableClock(folder / "clock")
        named = [f"fetcher{number + 1}" for number in range(fetchers + spare)]
        self.fetchers, self.spare = tuple(named[:fetchers]), tuple(named[fetchers:])
        self.network = Network()
        names = [
            "broker",
            "sandbox",
            "auth",
            "auth2",
            "gateway",
            *self.servers,
            *named,
            *(f"proxy {name}" for name in proxied),
        ]
        self._reserved = dict(zip(names, reserved_ports(len(names)), strict=True))
        self.proxies = {name: self._proxy(name) for name in proxied}
        self.children: dict[str, Child] = {}
        self.settings = self._settings() | settings
        self.client = Customer(
            url=f"http://localhost:{self.port('gateway')}",
            sandbox=f"http://{HOST}:{self.port('sandbox')}",
            bootstrap=f"{HOST}:{self.reached('broker')}",
        )
        self._declare()

    def __getitem__(self, name: str) -> Child:
        return self.children[name]

    def port(self, name: str) -> int:
        return int(self._reserved[name].getsockname()[1])

    def reached(self, name: str) -> int:
        """Return the port by which other processes reach it: the proxy's, where there is one."""
        return self.port(f"proxy {name}") if f"proxy {name}" in self._reserved else self.port(name)

    def start(self) -> None:
        """Start it, and wait until all of it answers."""
        self.start_all("broker", *self.servers, "sandbox")
        self.setup()
        self.start_all("auth", *self.fetchers, "gateway")

    def start_all(self, *names: str, env: Mapping[str, str] | None = None) -> None:
        """Start side by side those that do not run, and wait until they answer."""
        for name in names:
            if not self[name].alive:
                self[name].start(env, wait=False)
        for name in names:
            self[name].wait_ready()

    def heal(self) -> None:
        """Restore the state of the start, except for data: no faults, everyone alive, no extras."""
        for proxy in self.proxies.values():
            proxy.switch()
        for name, child in self.children.items():
            if name in self.extra or child.disturbed:
                child.end()
        self.start_all(*(name for name in self.children if name not in self.extra))
        for provider in RESOURCES:
            self.client.control("PUT", f"{provider}/faults", json=[])
            self.client.control("PUT", f"{provider}/limits", json={"off": True, "latency_ms": 0})

    @property
    def extra(self) -> tuple[str, ...]:
        """Start what only tests need, for as long as the block runs."""
        return ("auth2", *self.spare)

    def setup(self) -> None:
        """Make secrets, migrations and topics; may run again at any time."""
        said = self.folder / "setup.log"
        with said.open("wb") as log:
            setup = forks.start(
                "deploy.setup",
                *self.setup_options,
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=log,
            )
        assert setup.wait(PATIENCE_S) == 0, f"deploy.setup: {said.read_text()[-TAIL:]}"

    def ready(self) -> bool:
        """Return whether the gateway and everything it depends on answer."""
        return self["gateway"].ready()

    @contextmanager
    def topic(self) -> Iterator[Topic]:
        with Topic(self.client.bootstrap) as topic:
            yield topic

    def logs(self, length: int = TAIL) -> dict[str, str]:
        return {
            name: child.log.read_text(errors="replace")[-length:]
            for name, child in self.children.items()
            if child.log.exists()
        }

    def close(self) -> None:
        for child in reversed(self.children.values()):
            child.kill()
        self.client.http.close()
        self.network.close()
        for one in self._reserved.values():
            one.close()

    def _settings(self) -> dict[str, str]:
        return {
            "TRIBUTARY_GATEWAY_PORT": str(self.port("gateway")),
            "TRIBUTARY_AUTH_PORT": str(self.port("auth")),
            "TRIBUTARY_FETCHER_PORT": str(self.port(self.fetchers[0])),
            "TRIBUTARY_SANDBOX_PORT": str(self.port("sandbox")),
            "TRIBUTARY_DATA_DIR": str(self.data),
            "TRIBUTARY_LOG_FORMAT": "json",
            **self.clock.settings,
            "TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{self.reached('broker')}",
            "TRIBUTARY_AUTH_URL": f"http://{HOST}:{self.reached('auth')}",
            "TRIBUTARY_SANDBOX_URL": f"http://{HOST}:{self.reached('sandbox')}",
            "TRIBUTARY_SANDBOX_PUBLIC_URL": f"http://{HOST}:{self.port('sandbox')}",
        }

    def environment(self, **more: str) -> dict[str, str]:
        return {**clean(os.environ), **self.settings, **more}

    def _proxy(self, name: str) -> Proxy:
        return self.network.proxy(self.port(f"proxy {name}"), self.port(name))

    def _declare(self) -> None:
        self._declare_servers()
        sandbox = ["--port", str(self.port("sandbox")), "--data-dir", str(self.data)]
        self.child(
            "sandbox",
            ["deploy.sandbox", *sandbox, "--public-url", self.client.url],
            self._answers("sandbox"),
        )
        self.child("auth", ["services.auth"], self._answers("auth"))
        another = {"TRIBUTARY_AUTH_PORT": str(self.port("auth2"))}
        self.child("auth2", ["services.auth"], self._answers("auth2"), **another)
        for name in (*self.fetchers, *self.spare):
            port = {"TRIBUTARY_FETCHER_PORT": str(self.port(name))}
            self.child(name, [self.fetcher], self._answers(name), **port)
        self.child("gateway", ["services.gateway"], self._answers("gateway"))

    def _declare_servers(self) -> None:
        broker = [str(self.data / "kafka"), str(self.port("broker")), str(self.reached("broker"))]
        self.child("broker", ["tests.chaos.broker", *broker], self._listens("broker"))

    def child(self, name: str, module: list[str], ready: Callable[[], bool], **env: str) -> Child:
        """Declare a process that runs a Python module."""
        log = self.folder / f"{name}.log"
        self.children[name] = Child(name, module, env=self.environment(**env), log=log, ready=ready)
        return self.children[name]

    def _answers(self, name: str) -> Callable[[], bool]:
        url = f"http://{HOST}:{self.port(name)}/health/ready"

        def answers() -> bool:
            try:
                return self.client.http.get(url, timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        return answers

    def _listens(self, name: str) -> Callable[[], bool]:
        def listens() -> bool:
            try:
                socket.create_connection((HOST, self.port(name)), timeout=1).close()
            except OSError:
                return False
            return True

        return listens


@contextmanager
def started(made: Stack) -> Iterator[Stack]:
    """Yield a started stack, which is gone at the end whatever happens."""
    try:
        made.start()
        yield made
    finally:
        made.close()
