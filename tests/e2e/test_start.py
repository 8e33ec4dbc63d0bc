"""The product starts, says what it should, refuses what it must, and the README tells the truth."""

from __future__ import annotations

import base64
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support import forks
from tests.support.processes import ROOT, clean
from tests.support.product import Product, product
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("start")) as started:
        yield started


def ended(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start it where it cannot start; return how it ended."""
    one = Product(folder)
    env = {**one.settings, "PATH": os.environ["PATH"], **settings}
    process = forks.run("deploy.local", cwd=ROOT, env=env)
    one.close()
    assert process.stdout == ""
    return process


def refused(folder: Path, **settings: str) -> str:
    """Return the error when a setting is written differently."""
    process = ended(folder, **settings)
    assert process.returncode == 2
    return process.stderr


def test_it_greets_with_the_lines_that_the_readme_shows(tmp_path: Path) -> None:
    one = Product(tmp_path)
    try:
        *addresses, last = shown_by_the_readme(one)
        assert one.start() == addresses
        eventually(lambda: last in one.log.read_text().splitlines())
    finally:
        one.close()


def shown_by_the_readme(one: Product) -> list[str]:
    """Return the lines of the README's first output, at the addresses of ``one``."""
    shown = (ROOT / "README.md").read_text("utf-8").partition("```text\n")[2].partition("```")[0]
    for documented, service in ((":8000", "GATEWAY"), (":9092", "KAFKA")):
        shown = shown.replace(documented, f":{one.ports[service]}")
    shown = shown.replace(".tributary", one.settings["TRIBUTARY_DATA_DIR"])
    return shown.splitlines()


def test_on_loopback_anyone_on_this_machine_may_call(one: Product) -> None:
    assert httpx.get(f"{one.url}/v1/connections", timeout=PATIENCE_S).status_code == 200


def test_behind_a_proxy_of_another_name_the_gateway_requires_keys(tmp_path: Path) -> None:
    with product(tmp_path, TRIBUTARY_PUBLIC_URL="https://tributary.example.com") as one:
        key = one.key("acme", "admin")
        for host in (f"localhost:{one.ports['GATEWAY']}", "tributary.example.com"):
            for path in ("/v1/connections", "/v1/items", "/metrics"):
                without_key = httpx.get(one.url + path, headers={"host": host}, timeout=PATIENCE_S)
                assert without_key.status_code == 401, (host, path)
                with_key = httpx.get(
                    one.url + path,
                    headers={"host": host, "authorization": f"Bearer {key}"},
                    timeout=PATIENCE_S,
                )
                assert with_key.status_code == 200, (host, path)


def printed_command(one: Product) -> str:
    """Return the command that the start-up lines name, as they print it."""
    eventually(lambda: "Ctrl-C" in one.log.read_text())
    said = one.log.read_text()
    assert "An API key is needed" in said
    (command,) = re.findall(r"^  (.+ keys create .+)$", said, re.MULTILINE)
    return str(command)


def key_from(command: str, folder: Path) -> str:
    """Run the printed command in a new shell without our settings; return the key it prints."""
    made = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=clean(os.environ),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert re.fullmatch(r"trb_\w+\n", made.stdout)
    return made.stdout.strip()


def test_the_command_it_prints_makes_a_key_while_it_runs_and_while_it_does_not(
    tmp_path: Path,
) -> None:
    with product(tmp_path, TRIBUTARY_PUBLIC_URL="https://tributary.example.com") as one:
        while_running = key_from(printed_command(one), tmp_path)
        one.stop()
        while_stopped = key_from(printed_command(one), tmp_path)
        one.start()
        for key in (while_running, while_stopped):
            answer = httpx.get(
                f"{one.url}/v1/keys", headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE_S
            )
            assert answer.status_code == 200
        assert httpx.get(f"{one.url}/v1/keys", timeout=PATIENCE_S).status_code == 401


def test_on_loopback_it_says_nothing_of_keys_and_requests_go_to_the_log_file(one: Product) -> None:
    httpx.get(f"{one.url}/v1/nothing-here", timeout=PATIENCE_S)
    log = Path(one.settings["TRIBUTARY_DATA_DIR"]) / "logs" / "tributary.log"
    # The line is written when the answer has gone out.
    eventually(lambda: "/v1/nothing-here" in log.read_text())
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    eventually(lambda: "Ctrl-C" in one.log.read_text())
    said = [line for line in one.log.read_text().splitlines() if "clock_can_be_moved" not in line]
    assert said == ["Ctrl-C stops it. Syncs that are running continue at the next start."]


def test_a_busy_port_is_named_with_the_setting_that_changes_it(tmp_path: Path) -> None:
    for name in ("GATEWAY", "KAFKA"):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            said = refused(tmp_path, **{f"TRIBUTARY_{name}_PORT": port})
        assert port in said
        assert f"TRIBUTARY_{name}_PORT" in said


def test_all_busy_ports_are_named_at_once(tmp_path: Path) -> None:
    names = ("KAFKA", "AUTH", "GATEWAY")
    with ExitStack() as stack:
        ports = {}
        for name in names:
            taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ports[f"TRIBUTARY_{name}_PORT"] = str(taken.getsockname()[1])
        said = refused(tmp_path, **ports)
    (sentence,) = [line for line in said.splitlines() if " busy" in line]
    for setting, port in ports.items():
        assert setting in sentence
        assert f"{port} (" in sentence


def test_wrong_settings_are_reported_all_at_once_in_words(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        TRIBUTARY_HOST="nowhere",
        TRIBUTARY_PUBLIC_URL="nonsense",
        TRIBUTARY_HUBSPOT_CLIENT_ID="id-without-a-secret",
        TRIBUTARY_GATWAY_PORT="8000",
    )
    for name in ("HOST", "PUBLIC_URL", "HUBSPOT_CLIENT_SECRET", "GATEWAY_PORT"):
        assert f"TRIBUTARY_{name}" in said
    assert "Traceback" not in said


def test_a_second_one_on_the_same_data_is_refused(one: Product, tmp_path: Path) -> None:
    said = refused(tmp_path, TRIBUTARY_DATA_DIR=one.settings["TRIBUTARY_DATA_DIR"])
    assert "Another Tributary" in said


def test_keys_and_secrets_are_readable_by_their_owner_only(one: Product) -> None:
    data = Path(one.settings["TRIBUTARY_DATA_DIR"])
    for name in ("keys", "service-secret", "signing-secret", "sandbox-secret"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600


def test_auth_and_fetcher_answer_nobody_but_services(one: Product) -> None:
    for name, path in (("AUTH", "/connections"), ("AUTH", "/flows/x"), ("FETCHER", "/anything")):
        for headers in ({}, {"authorization": "Bearer guess"}):
            answer = httpx.get(
                f"http://127.0.0.1:{one.ports[name]}{path}", headers=headers, timeout=PATIENCE_S
            )
            assert answer.status_code in {401, 404}, path
            assert "connections" not in answer.json()
        assert (
            httpx.get(
                f"http://127.0.0.1:{one.ports[name]}/health/live", timeout=PATIENCE_S
            ).status_code
            == 200
        )


def test_no_port_answers_for_a_foreign_host(one: Product) -> None:
    for name in ("GATEWAY", "AUTH", "FETCHER", "SANDBOX"):
        answer = httpx.get(
            f"http://127.0.0.1:{one.ports[name]}/health/live",
            headers={"host": "evil.example"},
            timeout=PATIENCE_S,
        )
        assert answer.status_code in {400, 421}, name
        if name == "GATEWAY":
            assert "TRIBUTARY_PUBLIC_URL" in answer.json()["detail"]


def test_the_program_in_the_readme_prints_as_many_items_as_there_are(
    one: Product, tmp_path: Path
) -> None:
    account = one.account("airtable", {"bases": 1, "tables": 2, "records": 30})
    connection = one.connect("airtable", account=account)
    assert one.synced(connection["sync_id"])["state"] == "done"
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(code) == 1
    script = tmp_path / "consume.py"
    script.write_text(code[0])
    said = subprocess.run(
        [sys.executable, str(script)],
        env={"PATH": os.environ["PATH"], "KAFKA": one.bootstrap},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert said == f"{len(list(one.items(connection['id'])))} items\n"
    assert len(list(one.items(connection["id"]))) == 33


def test_every_path_of_the_readme_exists(one: Product) -> None:
    text = (ROOT / "README.md").read_text()
    for page in ("/docs", "/events"):
        assert f"http://localhost:8000{page}" in text
        assert one.http.get(one.url + page).status_code == 200
    named = re.findall(r"`((?:services|shared|deploy|tests|docs|benchmarks)/[\w/.]+)`", text)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []
    assert eventually(lambda: one.http.get(f"{one.sandbox}/_sandbox").status_code == 200)


def test_keys_that_do_not_fit_the_stored_data_are_refused_in_one_sentence(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with product(tmp_path) as before:
        assert before.settings["TRIBUTARY_DATA_DIR"] == data
    other = f"other:{base64.b64encode(bytes(32)).decode()}"
    process = ended(tmp_path, TRIBUTARY_DATA_DIR=data, TRIBUTARY_KEYS=other)
    assert process.returncode == 1
    said = process.stderr.strip().splitlines()[-1]
    assert said.startswith("auth did not start: The keys do not fit the stored data")
