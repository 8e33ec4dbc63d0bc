"""Secrets that are really in use appear nowhere outside the place that keeps them sealed."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from deploy.sandbox.clients import sandbox_clients
from tests.e2e.browser import sandbox_secrets
from tests.support.client import RESOURCES
from tests.support.product import Product, product

pytestmark = pytest.mark.e2e
COUNTS = {
    "hubspot": {"companies": 6, "contacts": 8, "deals": 3},
    "notion": {"pages": 9, "data_sources": 1, "users": 2},
    "airtable": {"bases": 1, "tables": 2, "records": 12},
}
DATA_CALL = {"hubspot": "/crm/objects/*", "notion": "/v1/search", "airtable": "/v0/meta/bases"}
SAID = "what-a-provider-said-<b>raw</b>"
OWN_FILES = {"sandbox.db", "sandbox-secret", "keys", "service-secret", "signing-secret"}
"""Files that hold what they are named for; the sandbox stands for the providers themselves."""


class Aftermath(NamedTuple):
    """Hold what is left after the product has run; ``answers`` are ours, with headers and body."""

    folder: Path
    answers: list[tuple[str, str]]
    redirects: list[tuple[str, str]]
    secrets: dict[str, set[str]]
    connections: list[str]


class Traveller:
    """Record what our own server answered to a browser, and the secrets that passed by."""

    def __init__(self, running: Product) -> None:
        self.running = running
        self.answers: list[tuple[str, str]] = []
        self.redirects: list[tuple[str, str]] = []
        self.states: set[str] = set()
        self.nonces: set[str] = set()
        self.http = self.browser()

    def browser(self) -> httpx.Client:
        return httpx.Client(timeout=60, trust_env=False, event_hooks={"response": [self._note]})

    def _note(self, answer: httpx.Response) -> None:
        if str(answer.url).startswith(self.running.sandbox):
            return
        answer.read()
        asked = f"{answer.request.method} {answer.url}"
        headers = "\n".join(
            f"{name}: {value}" for name, value in answer.headers.items() if name != "set-cookie"
        )
        self.answers.append((asked, f"{headers}\n\n{answer.text}"))
        if location := answer.headers.get("location"):
            self.redirects.append((asked, location))

    def ours(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.http.request(method, self.running.url + path, **options)

    def callback(self, link: str, *, decision: str = "allow", account: str | None = None) -> str:
        """Consent at the provider; return the URL that it sends the browser back to."""
        opened = self.http.get(link)
        to_provider = opened.headers["location"]
        self.states |= set(parse_qs(urlsplit(to_provider).query)["state"])
        self.nonces |= {value for name, value in opened.cookies.items() if name.startswith("flow_")}
        form = {"decision": decision} | ({"account": account} if account else {})
        return str(self.http.post(to_provider, data=form).headers["location"])


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("secrets")
    with product(folder, TRIBUTARY_LOG_LEVEL="debug") as running:
        traveller = Traveller(running)
        with traveller.http:
            connections = [journey(traveller, provider) for provider in RESOURCES]
            knock(traveller)
            running.api("DELETE", f"/v1/connections/{connections[0]}")
        secrets = sandbox_secrets(running) | kept_secrets(running)
        secrets |= {"states": traveller.states, "nonces": traveller.nonces}
        running.stop()
        yield Aftermath(folder, traveller.answers, traveller.redirects, secrets, connections)


def journey(traveller: Traveller, provider: str) -> str:
    """Do everything that involves tokens and codes, right and wrong; return the connection's id."""
    running = traveller.running
    account = running.account(provider, COUNTS[provider], name="Canary")
    expired = {
        "match": {"path": DATA_CALL[provider]},
        "status": 401,
        "body": {"message": SAID},
        "times": 1,
    }
    running.control("PUT", f"{provider}/faults", json=[expired])
    who, base = {"user_id": "canary", "org_id": "canary"}, f"/integrations/{provider}"
    back = traveller.callback(
        traveller.ours("POST", f"{base}/authorize", data=who).json(), account=account
    )
    assert traveller.http.get(back).status_code == 200
    handle = traveller.ours("POST", f"{base}/credentials", data=who).json()
    loaded = traveller.ours("POST", f"{base}/load", data={"credentials": json.dumps(handle)})
    assert loaded.status_code == 200, loaded.text
    assert len(loaded.json()) == sum(
        len(running.ledger(provider, account, name)) for name in RESOURCES[provider]
    )
    go_wrong(traveller, provider, back)
    (connection,) = traveller.ours(
        "GET", f"/v1/connections?user_id=canary&provider={provider}"
    ).json()["connections"]
    for path in (
        f"/connections/{connection['id']}",
        f"/syncs/{connection['sync_id']}",
        "/items",
        "/providers",
    ):
        assert traveller.ours("GET", f"/v1{path}").status_code == 200
    return str(connection["id"])


def go_wrong(traveller: Traveller, provider: str, used: str) -> None:
    running = traveller.running
    asked = {"provider": provider, "org_id": "canary", "user_id": "canary", "return_url": "/?tab=1"}

    def link() -> str:
        return str(traveller.ours("POST", "/v1/connect", json=asked).json()["authorize_url"])

    assert traveller.http.get(used).status_code == 400
    assert traveller.http.get(traveller.callback(link(), decision="deny")).status_code == 400
    with traveller.browser() as other:
        assert other.get(traveller.callback(link())).status_code == 400
    hostile = f"?error=access_denied&state=unknown&error_description={SAID}&code=unknown"
    assert (
        traveller.ours("GET", f"/integrations/{provider}/oauth2callback{hostile}").status_code
        == 400
    )
    body = {
        "error": "invalid_grant",
        "error_description": SAID,
        "message": SAID,
        "status": "BAD_AUTH_CODE",
    }
    running.control(
        "PUT",
        f"{provider}/faults",
        json=[{"match": {"path": "*/token"}, "status": 400, "body": body}],
    )
    assert traveller.http.get(traveller.callback(link())).status_code == 400
    running.control("PUT", f"{provider}/faults", json=[])


def knock(traveller: Traveller) -> None:
    """Check that services behind the public door answer nobody without the service secret."""
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic wrong"}):
        for name in ("AUTH", "FETCHER"):
            for method, path in (
                ("GET", "/connections"),
                ("POST", "/connections/x/token"),
                ("GET", "/flows/x"),
            ):
                url = f"http://127.0.0.1:{traveller.running.ports[name]}{path}"
                refused = traveller.http.request(method, url, headers=headers)
                assert refused.status_code in ({401} if name == "AUTH" else {401, 404}), (
                    refused.text
                )


def kept_secrets(running: Product) -> dict[str, set[str]]:
    data = running.folder / "data"
    keys = {line.partition(":")[2] for line in (data / "keys").read_text().split()}
    services = {(data / name).read_text().strip() for name in ("service-secret", "signing-secret")}
    return {"keys": keys, "service secrets": services, "client secrets": client_secrets(running)}


def client_secrets(running: Product) -> set[str]:
    """Return the client secrets, also as HTTP Basic encodes them."""
    clients = sandbox_clients(running.folder / "data", running.url, RESOURCES).values()
    basic = {base64.b64encode(f"{one.id}:{one.secret}".encode()).decode() for one in clients}
    seed = (running.folder / "data" / "sandbox-secret").read_text().strip()
    return {one.secret for one in clients} | basic | {seed}


def found(where: bytes, secrets: dict[str, set[str]]) -> list[str]:
    """Return which kinds of secrets are in there; the values would only reach one more log."""

    def shown(kind: str) -> bool:
        return any(value.encode() in where for value in secrets[kind])

    return sorted(filter(shown, secrets))


def test_T11_every_kind_of_secret_was_in_use(after: Aftermath) -> None:
    assert {kind: len(values) > 0 for kind, values in after.secrets.items()} == dict.fromkeys(
        after.secrets, True
    )
    assert len(after.secrets["tokens"]) >= 3 * 3, (
        "for each provider a pair, and what a refresh brought"
    )
    assert min(len(value) for values in after.secrets.values() for value in values) >= 16
    (sandbox,) = (after.folder / "data").rglob("sandbox.db")
    assert found(sandbox.read_bytes(), after.secrets) == ["codes", "tokens"], (
        "what this would look like elsewhere"
    )


def test_T11_no_secret_is_in_the_logs(after: Aftermath) -> None:
    terminal = (after.folder / "log.jsonl").read_bytes()
    log = terminal + (after.folder / "data" / "logs" / "tributary.log").read_bytes()
    assert after.connections[0].encode() in log
    assert found(log, after.secrets) == []


def test_T11_no_secret_is_in_the_files_of_kafka(after: Aftermath) -> None:
    segments = [
        path.read_bytes() for path in (after.folder / "data" / "kafka").rglob("*") if path.is_file()
    ]
    everything = b"".join(segments)
    assert all(connection.encode() in everything for connection in after.connections)
    assert found(everything, after.secrets) == []


def test_T11_the_databases_hold_tokens_only_sealed(after: Aftermath) -> None:
    seen = set()
    for path in (after.folder / "data").rglob("*"):
        if not path.is_file() or path.name.removesuffix("-wal").removesuffix("-shm") in OWN_FILES:
            continue
        content = path.read_bytes()
        assert found(content, after.secrets) == [], path.name
        seen |= {path.name} if after.connections[1].encode() in content else set()
    assert {"auth.db", "fetcher.db", "gateway.db"} <= seen
    assert re.search(rb"v1\.k[0-9a-f]{8}\.", (after.folder / "data" / "auth.db").read_bytes()), (
        "the sealed ones"
    )


def test_T11_no_answer_of_ours_holds_a_secret_or_a_providers_raw_words(after: Aftermath) -> None:
    secrets = after.secrets | {"a provider's words": {SAID}}
    for asked, answered in after.answers:
        to_provider = "/connect/" in asked and "\n\n" in answered and "location: " in answered
        allowed = ["states"] if to_provider else []
        assert found(answered.encode(), secrets) == allowed, asked


def test_T12_neither_tokens_nor_codes_nor_secrets_are_in_urls_of_ours(after: Aftermath) -> None:
    secrets = {kind: values for kind, values in after.secrets.items() if kind != "states"}
    assert len(after.redirects) > 0
    for asked, location in after.redirects:
        assert found(location.encode(), secrets) == [], asked
    for asked, _ in after.answers:
        came_from_provider = "/oauth2callback?" in asked
        assert found(asked.encode(), secrets) in ([], ["codes"] if came_from_provider else []), (
            asked
        )


def test_T12_a_callback_page_is_neither_kept_nor_told_of_to_others(after: Aftermath) -> None:
    pages = [answered for asked, answered in after.answers if "/oauth2callback" in asked]
    assert len(pages) >= 6 * len(RESOURCES)
    for page in pages:
        assert "cache-control: no-store" in page
        assert "referrer-policy: no-referrer" in page
        assert "cross-origin-opener-policy" not in page


def test_T11_files_that_hold_secrets_are_their_owners_alone(after: Aftermath) -> None:
    for name in OWN_FILES | {"auth.db"}:
        (path,) = (after.folder / "data").rglob(name)
        reachable = [path, *path.parents[: len(path.parents) - len(after.folder.parents) - 1]]
        assert any(stat.S_IMODE(one.stat().st_mode) & 0o077 == 0 for one in reachable), name
