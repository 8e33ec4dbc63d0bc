"""The full stack as one command: it greets, heals, ends, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from deploy.kafka.jars import class_path
from deploy.servers import ProgramUnavailable
from deploy.servers.cluster import binaries
from deploy.servers.commands import installed
from tests.support.client import Client
from tests.support.ports import reserved_ports
from tests.support.processes import clean
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e
NAMES = ("GATEWAY", "AUTH", "FETCHER", "SANDBOX", "KAFKA")
MARKS = {
    "kafka": "kafka.Kafka",
    "postgres": "bin/postgres",
    "redis": "redis-server",
    "sandbox": "deploy.sandbox",
    "auth": "services.auth",
    "fetcher-1": "services.fetcher",
    "gateway": "services.gateway",
}


def launch(settings: Mapping[str, str], log: Path, *arguments: str) -> subprocess.Popen[str]:
    with log.open("a") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.native", *arguments],
            cwd=log.parent,
            env={**clean(os.environ), **settings},
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )


def settings_for(folder: Path, sockets: Sequence[socket.socket]) -> dict[str, str]:
    ports = {
        f"TRIBUTARY_{name}_PORT": str(one.getsockname()[1])
        for name, one in zip(NAMES, sockets, strict=True)
    }
    return {**ports, "TRIBUTARY_DATA_DIR": str(folder / "data")}


class Native:
    def __init__(self, folder: Path) -> None:
        self._reserved = reserved_ports(len(NAMES))
        self.settings = settings_for(folder, self._reserved)
        ports = {name: self.settings[f"TRIBUTARY_{name}_PORT"] for name in NAMES}
        self.client = Client(
            url=f"http://localhost:{ports['GATEWAY']}",
            sandbox=f"http://127.0.0.1:{ports['SANDBOX']}",
            bootstrap=f"127.0.0.1:{ports['KAFKA']}",
        )
        self.log = folder / "log"
        self.logs = folder / "data" / "logs"
        self.process = launch(self.settings, self.log, "--fetchers", "2")
        self.greeting: list[str] = []

    def greet(self) -> None:
        """Wait until it answers, which it says in five lines."""
        assert self.process.stdout is not None
        self.greeting = [self.process.stdout.readline().rstrip("\n") for _ in range(5)]
        assert all(self.greeting), self.log.read_text()[-3000:]

    def child(self, name: str) -> psutil.Process:
        found = [one for one in self.children() if MARKS[name] in " ".join(one.cmdline())]
        return min(found, key=lambda one: (one.create_time(), one.pid))

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def heals(self, name: str) -> None:
        """Kill a process with kill -9, and wait until the supervisor says that it answers again."""
        self.child(name).kill()
        said = f"{name} answers again"
        before = self.log.read_text().count(said)
        eventually(lambda: self.log.read_text().count(said) > before)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)
        self.client.http.close()
        for one in self._reserved:
            one.close()


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    try:
        class_path(), binaries(), installed("redis-server", ["redis-server"])
    except ProgramUnavailable as reason:
        pytest.skip(f"no full stack here: {reason}")
    one = Native(tmp_path_factory.mktemp("native"))
    try:
        one.greet()
        yield one
    finally:
        one.close()


def test_it_greets_with_five_plain_lines_and_says_how_to_scale(native: Native) -> None:
    url = native.client.url
    assert native.greeting == [
        f"Console         {url}",
        f"API docs        {url}/docs",
        f"Events docs     {url}/events",
        f"Kafka bootstrap {native.client.bootstrap}",
        f"Log             {native.logs}",
    ]
    eventually(lambda: "make stack FETCHERS=4" in native.log.read_text())
    assert native.client.http.get(f"{url}/health/ready").status_code == 200


def test_each_process_has_a_log_of_its_own_and_the_terminal_stays_quiet(native: Native) -> None:
    written = {path.stem for path in native.logs.glob("*.log")}
    assert written >= {*MARKS, "fetcher-2", "setup"}
    native.client.http.get(f"{native.client.url}/v1/nothing-here")
    eventually(lambda: "/v1/nothing-here" in (native.logs / "gateway.log").read_text())
    assert len(native.log.read_text().splitlines()) == 1, native.log.read_text()


def keys_listed_after_making_one(native: Native) -> list[str]:
    """Make a key as another terminal would, which knows only the data folder of the stack."""
    keys = [sys.executable, "-m", "deploy.native", "keys"]
    environ = {**clean(os.environ), "TRIBUTARY_DATA_DIR": native.settings["TRIBUTARY_DATA_DIR"]}
    said = []
    for command in (["create", "--org", "demo", "--scope", "admin"], ["list"]):
        ended = subprocess.run(
            [*keys, *command],
            cwd=native.log.parent,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_S,
        )
        said.append(ended.stdout)
    assert said[0].startswith("trb_")
    return [line for line in said[1].splitlines() if " demo " in line]


def test_a_key_is_made_while_the_stack_runs(native: Native) -> None:
    assert len(keys_listed_after_making_one(native)) == 1


@pytest.mark.variation
def test_a_load_goes_on_to_its_end_while_each_process_is_killed(native: Native) -> None:
    account = native.client.account("airtable", {"bases": 2, "tables": 6, "records": 3000})
    connection = native.client.connect("airtable", account=account)
    for name in MARKS:
        native.heals(name)
    ended = native.client.synced(connection["sync_id"])
    assert ended["state"] == "done", ended
    assert native.client.differences("airtable", account, connection["id"]) == {}


def test_a_second_one_on_the_same_data_is_refused(native: Native, tmp_path: Path) -> None:
    second = launch(native.settings, tmp_path / "log")
    second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2
    assert (tmp_path / "log").read_text().startswith("Another Tributary is running on ")


@pytest.mark.parametrize("name", ["GATEWAY", "KAFKA", "SANDBOX"])
def test_a_busy_port_is_named_with_the_setting_that_changes_it(
    native: Native, tmp_path: Path, name: str
) -> None:
    free = reserved_ports(len(NAMES))
    busy = native.settings[f"TRIBUTARY_{name}_PORT"]
    settings = settings_for(tmp_path, free) | {f"TRIBUTARY_{name}_PORT": busy}
    refused = launch(settings, tmp_path / "log")
    refused.communicate(timeout=PATIENCE_S)
    for one in free:
        one.close()
    assert refused.returncode == 2
    said = (tmp_path / "log").read_text()
    assert said.startswith(f"Port {busy} (")
    assert said.endswith(f"choose another with TRIBUTARY_{name}_PORT.\n")


def test_ctrl_c_stops_all_of_it_in_order_and_in_time(native: Native) -> None:
    everyone = psutil.Process(native.process.pid).children(recursive=True)
    assert len(everyone) > len(MARKS)
    native.process.send_signal(signal.SIGINT)
    assert native.process.wait(30) == 0
    assert [one for one in everyone if one.is_running()] == []
    assert "killed." not in native.log.read_text().rpartition("answers again")[2]
    assert native.log.read_text().splitlines()[-1] == "Stopped."


def test_a_key_is_made_while_the_stack_is_stopped(native: Native) -> None:
    assert native.process.poll() == 0
    assert len(keys_listed_after_making_one(native)) == 2
    assert not (native.logs.parent / "gateway.db").exists()
