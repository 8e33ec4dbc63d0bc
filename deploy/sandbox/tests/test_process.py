import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]


def command(data_dir: Path, port: int = 0) -> list[str]:
    return [
        sys.executable,
        "-m",
        "deploy.sandbox.tests.plums_server",
        "--port",
        str(port),
        "--data-dir",
        str(data_dir),
    ]


def refused(data_dir: Path, port: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data_dir, port),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextmanager
def served(data_dir: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """Run the server in a process of its own, which is killed at the end without warning."""
    process = subprocess.Popen(command(data_dir), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        with httpx.Client(base_url=process.stdout.readline().strip(), timeout=PATIENCE_S) as client:
            yield client, process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def state(client: httpx.Client) -> dict[str, Any]:
    accounts = client.get("/_sandbox/plums/accounts").json()["items"]
    ledgers = {
        one["id"]: client.get(f"/_sandbox/plums/accounts/{one['id']}/ledger").json()
        for one in accounts
    }
    return {
        "accounts": accounts,
        "ledgers": ledgers,
        "clock": client.get("/_sandbox/clock").json()["offset_s"],
    }


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path) -> None:
    with served(tmp_path) as (client, _):
        made = client.post(
            "/_sandbox/plums/accounts", json={"name": "Big", "seed": 7, "counts": {"plums": 30}}
        ).json()
        change = {"resource": "plums", "create": 4, "update": 3, "archive": 2}
        client.post(
            f"/_sandbox/plums/accounts/{made['account_id']}/mutate", json=change
        ).raise_for_status()
        client.post("/_sandbox/clock", json={"advance_s": 5}).raise_for_status()
        codes = []
        for _ in range(2):
            allowed = client.post(
                "/plums/oauth/authorize?state=s", data={"decision": "allow", "account": "Big"}
            )
            codes.append(httpx.URL(allowed.headers["location"]).params["code"])
        before = state(client)
        token = client.post(f"/plums/oauth/token?code={codes[0]}").json()["access_token"]
    with served(tmp_path) as (client, _):
        assert state(client) == before
        assert client.post(f"/plums/oauth/token?code={codes[0]}").status_code == 403
        assert client.post(f"/plums/oauth/token?code={codes[1]}").status_code == 200
        plums = client.get("/plums/v1/plums", headers={"authorization": f"Bearer {token}"}).json()[
            "plums"
        ]
        assert len(plums) == 32
        assert (
            client.get("/_sandbox/plums/requests").json()["items"][-1]["account"]
            == made["account_id"]
        )


@pytest.mark.parametrize(("drop", "acted"), [(True, False), ("request", False), ("answer", True)])
def test_a_cut_connection_has_no_answer_and_only_answer_lets_the_provider_act(
    tmp_path: Path, drop: object, acted: bool
) -> None:
    with served(tmp_path) as (client, _):
        allowed = client.post("/plums/oauth/authorize?state=s", data={"decision": "allow"})
        code = httpx.URL(allowed.headers["location"]).params["code"]
        fault = {"match": {"path": "/oauth/token"}, "drop": drop, "times": 1}
        client.put("/_sandbox/plums/faults", json=[fault]).raise_for_status()
        with pytest.raises(httpx.TransportError):
            client.post(f"/plums/oauth/token?code={code}")
        assert client.get("/_sandbox/plums/requests").json()["items"][-1]["status"] is None
        assert client.post(f"/plums/oauth/token?code={code}").status_code == (403 if acted else 200)


def test_a_fault_may_be_an_answer_without_a_body_or_to_a_head_request(tmp_path: Path) -> None:
    with served(tmp_path) as (client, _):
        client.put(
            "/_sandbox/plums/faults",
            json=[{"status": 204, "times": 1}, {"status": 529, "body": {"a": 1}}],
        )
        assert client.get("/plums/v1/plums").status_code == 204
        assert client.head("/plums/v1/plums").status_code == 529
        assert client.get("/plums/v1/plums").json() == {"a": 1}


def test_it_stops_on_sigterm_and_a_second_one_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with served(tmp_path) as (client, process):
        assert client.get("/health/live").json() == {"status": "live"}
        second = refused(tmp_path)
        assert second.returncode != 0
        assert "another sandbox is using" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) in {0, -signal.SIGTERM}


def test_a_busy_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = refused(tmp_path, port)
    assert run.returncode == 2
    assert (
        run.stderr.strip()
        == f"port {port} is busy: stop what uses it, or choose another with --port"
    )
