"""Run the whole product as a child process on free ports, and use it as people and programs do."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import forks
from tests.support.client import Client
from tests.support.clock import MovableClock
from tests.support.ports import reserved_ports
from tests.support.processes import clean
from tests.support.waiting import PATIENCE_S, eventually

PORTS = ("GATEWAY", "AUTH", "FETCHER", "SANDBOX", "KAFKA")


class Product(Client):
    """Start, kill and drive the product. Ports and data stay the same across restarts.

    ``module`` is the module to run, for a test that watches the process from inside.
    """

    def __init__(self, folder: Path, *, module: str = "deploy.local", **settings: str) -> None:
        self.folder, self.module = folder, module
        self.clock = MovableClock(folder / "clock")
        self._reserved = reserved_ports(len(PORTS))
        self.ports = {
            name: int(one.getsockname()[1]) for name, one in zip(PORTS, self._reserved, strict=True)
        }
        self.settings = {
            f"TRIBUTARY_{name}_PORT": str(port) for name, port in self.ports.items()
        } | {
            "TRIBUTARY_DATA_DIR": str(folder / "data"),
            "TRIBUTARY_LOG_FORMAT": "json",
            **self.clock.settings,
            **settings,
        }
        self.log = folder / "log.jsonl"
        super().__init__(
            url=f"http://localhost:{self.ports['GATEWAY']}",
            sandbox=f"http://127.0.0.1:{self.ports['SANDBOX']}",
            bootstrap=f"127.0.0.1:{self.ports['KAFKA']}",
        )
        self.process: forks.Forked | None = None

    def start(self) -> list[str]:
        """Start the process; return the lines that it greets with, once it is ready."""
        with self.log.open("a") as log:
            env = {**clean(os.environ), **self.settings}
            self.process = forks.start(self.module, cwd=self.folder, env=env, stderr=log)
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().rstrip("\n") for _ in range(5)]
        if not all(lines):
            raise AssertionError(f"it did not start: {self.log.read_text()[-3000:]}")
        eventually(
            lambda: self.http.get(f"{self.url}/health/ready").status_code == 200,
        )
        return lines

    def key(self, org: str, scope: str) -> str:
        """Make an API key with the command that people use; return it."""
        create = ["keys", "create", "--org", org, "--scope", scope]
        env = {**clean(os.environ), **self.settings}
        made = forks.run("services.gateway", *create, cwd=self.folder, env=env)
        made.check_returncode()
        (key,) = re.findall(r"trb_\w+", made.stdout)
        return str(key)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self._gone()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the process a signal to stop, and wait until it has ended."""
        assert self.process is not None
        self.process.send_signal(number)
        self._gone()

    def _gone(self) -> None:
        assert self.process is not None
        self.process.wait(timeout=PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.http.close()
        for one in self._reserved:
            one.close()


@contextmanager
def product(folder: Path, *, module: str = "deploy.local", **settings: str) -> Iterator[Product]:
    """Yield a running product, and stop it at the end whatever happens."""
    one = Product(folder, module=module, **settings)
    try:
        one.start()
        yield one
    finally:
        one.close()
