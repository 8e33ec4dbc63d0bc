"""The whole product as a child process on free ports, and what a person or a program does with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
PORTS = ("GATEWAY", "AUTH", "FETCHER", "SANDBOX", "KAFKA")
RESOURCES = {
    "hubspot": ("companies", "contacts", "deals"),
    "notion": ("pages", "data_sources", "users"),
    "airtable": ("bases", "tables", "records"),
}
PATIENCE_S = 90.0


def reserved_ports(count: int) -> list[socket.socket]:
    """Sockets on free ports, all different. They never listen: the product can, but nobody else is given the port."""
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
    return taken


def eventually(check: Any, *, within: float = PATIENCE_S, every: float = 0.1) -> Any:
    """The first truthy answer of ``check``; fails with its last answer when there is none in time."""
    end = time.monotonic() + within
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {within} s; the last answer was {found!r}")
        time.sleep(every)


class Product:
    """Start, kill and drive it. Ports and data stay the same over restarts."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._reserved = reserved_ports(len(PORTS))
        self.ports = {name: int(one.getsockname()[1]) for name, one in zip(PORTS, self._reserved, strict=True)}
        self.settings = {f"TRIBUTARY_{name}_PORT": str(port) for name, port in self.ports.items()} | {
            "TRIBUTARY_DATA_DIR": str(folder / "data"),
            "TRIBUTARY_LOG_FORMAT": "json",
            **settings,
        }
        self.log = folder / "log.jsonl"
        self.url = f"http://localhost:{self.ports['GATEWAY']}"
        self.sandbox = f"http://127.0.0.1:{self.ports['SANDBOX']}"
        self.bootstrap = f"127.0.0.1:{self.ports['KAFKA']}"
        self.process: subprocess.Popen[str] | None = None
        self.http = httpx.Client(timeout=60, trust_env=False)

    def start(self, *, ready_within: float = 30.0) -> list[str]:
        """Returns the lines it greets with, once they are all there."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local"],
                cwd=ROOT,
                env={**_clean(os.environ), **self.settings},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().rstrip("\n") for _ in range(4)]
        if not all(lines):
            raise AssertionError(f"it did not start: {self.log.read_text()[-3000:]}")
        eventually(lambda: self.http.get(f"{self.url}/health/ready").status_code == 200, within=ready_within)
        return lines

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self._gone()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to stop; returns the seconds that took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self._gone()
        return time.monotonic() - started

    def _gone(self) -> None:
        assert self.process is not None
        self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        self.http.close()
        for one in self._reserved:
            one.close()

    # what a customer does

    def browser(self) -> httpx.Client:
        """Cookies and redirects as a browser has them."""
        return httpx.Client(timeout=60, trust_env=False, follow_redirects=False)

    def consent(self, link: str, *, decision: str = "allow", account: str | None = None) -> httpx.Response:
        """From our short link through the sandbox's consent page back to our callback, whose answer is returned."""
        with self.browser() as browser:
            to_provider = browser.get(link)
            assert to_provider.status_code == 302, to_provider.text
            form = {"decision": decision} | ({"account": account} if account else {})
            back = browser.post(to_provider.headers["location"], data=form)
            assert back.status_code == 302, back.text
            return browser.get(back.headers["location"])

    def connect(self, provider: str, *, account: str | None = None, user: str = "demo") -> dict[str, Any]:
        """Through v1, to the connection."""
        asked = {"provider": provider, "org_id": "demo", "user_id": user}
        flow = self.api("POST", "/v1/connect", json=asked)
        self.consent(flow["authorize_url"], account=account)
        ended = self.api("GET", f"/v1/connect/{flow['flow_id']}")
        assert ended["status"] == "connected", ended
        found: dict[str, Any] = self.api("GET", f"/v1/connections/{ended['connection_id']}")
        return found

    def api(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, self.url + path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def synced(self, sync: str, *, within: float = PATIENCE_S) -> dict[str, Any]:
        """The sync once it has ended."""

        def ended() -> dict[str, Any] | None:
            found = self.api("GET", f"/v1/syncs/{sync}")
            return found if found["state"] != "running" else None

        result: dict[str, Any] = eventually(ended, within=within)
        return result

    def items(self, connection: str, resource: str | None = None) -> Iterator[dict[str, Any]]:
        """All items, page by page."""
        params = {"connection_id": connection, "page_size": "200"} | ({"resource": resource} if resource else {})
        while True:
            page = self.api("GET", "/v1/items", params=params)
            yield from page["items"]
            if not page["next_page_token"]:
                return
            params["page_token"] = page["next_page_token"]

    # what the sandbox is told

    def control(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, f"{self.sandbox}/_sandbox/{path}", **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def unlimited(self, provider: str) -> None:
        self.control("PUT", f"{provider}/limits", json={"off": True})

    def account(self, provider: str, counts: Mapping[str, int], *, name: str = "Made", seed: int = 5) -> str:
        made = self.control("POST", f"{provider}/accounts", json={"name": name, "seed": seed, "counts": dict(counts)})
        return str(made["account_id"])

    def ledger(self, provider: str, account: str, resource: str) -> dict[str, dict[str, Any]]:
        """Id → row of what really exists there now."""
        rows = self.control("GET", f"{provider}/accounts/{account}/ledger", params={"resource": resource})["items"]
        return {row["id"]: row for row in rows if not row["archived"]}

    def default_account(self, provider: str) -> str:
        return str(self.control("GET", f"{provider}/accounts")["items"][0]["id"])

    def differences(self, provider: str, account: str, connection: str) -> dict[str, tuple[int, int]]:
        """Resource → (lost, phantom) where what we have is not what the ledger has."""
        found = {}
        for resource in RESOURCES[provider]:
            ours = [item["id"] for item in self.items(connection, resource)]
            theirs = self.ledger(provider, account, resource)
            assert len(ours) == len(set(ours)), f"{resource}: doubled"
            if set(ours) != set(theirs):
                found[resource] = (len(set(theirs) - set(ours)), len(set(ours) - set(theirs)))
        return found


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("TRIBUTARY_")}


@contextmanager
def product(folder: Path, **settings: str) -> Iterator[Product]:
    """Started, and stopped at the end whatever happens."""
    one = Product(folder, **settings)
    try:
        one.start()
        yield one
    finally:
        one.close()
