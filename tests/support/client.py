"""Do what a person or a program does with a running product, whoever started it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from tests.support.waiting import PATIENCE_S, eventually

RESOURCES = {
    "hubspot": ("companies", "contacts", "deals"),
    "notion": ("pages", "data_sources", "users"),
    "airtable": ("bases", "tables", "records"),
}
ENDED = frozenset({"done", "incomplete", "failed"})
"""The final states of a sync, or of one of its resources."""
KEPT = httpx.Limits(keepalive_expiry=2.0)
"""Close first: the sandbox closes idle connections after 5 s, and a request sent into one that is
closing is lost."""


def is_waiting(resource: dict[str, Any]) -> dict[str, Any] | None:
    """Return the resource of a sync while it waits, else None."""
    return resource if resource["state"] == "waiting" else None


class Client:
    """Act for a customer, and for the provider's people. It knows addresses, but no processes."""

    def __init__(self, *, url: str, sandbox: str, bootstrap: str) -> None:
        self.url, self.sandbox, self.bootstrap = url, sandbox, bootstrap
        self.http = httpx.Client(timeout=60, trust_env=False, limits=KEPT)

    # what a customer does

    def browser(self) -> httpx.Client:
        """Return a client that keeps cookies like a browser and follows no redirects."""
        return httpx.Client(timeout=60, trust_env=False, follow_redirects=False)

    def consent(
        self, link: str, *, decision: str = "allow", account: str | None = None
    ) -> httpx.Response:
        """Follow our short link through the sandbox's consent page; return the final answer."""
        with self.browser() as browser:
            to_provider = browser.get(link)
            assert to_provider.status_code == 302, to_provider.text
            form = {"decision": decision} | ({"account": account} if account else {})
            back = browser.post(to_provider.headers["location"], data=form)
            assert back.status_code == 302, back.text
            return browser.get(back.headers["location"])

    def connect(
        self, provider: str, *, account: str | None = None, user: str = "demo", org: str = "demo"
    ) -> dict[str, Any]:
        """Connect an account through v1 and return the connection."""
        asked = {"provider": provider, "org_id": org, "user_id": user}
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
        """Return the sync once it has ended."""

        def ended() -> dict[str, Any] | None:
            found = self.api("GET", f"/v1/syncs/{sync}")
            return found if found["state"] in ENDED else None

        result: dict[str, Any] = eventually(ended, within=within)
        return result

    def all_waiting(self, sync: str) -> dict[str, Any]:
        """Return the sync once everything that is left of it waits, so that the clock can be moved.

        Moving the clock ends a wait that has begun. It does not shorten one that begins later.
        """

        def waiting() -> dict[str, Any] | None:
            found: dict[str, Any] = self.api("GET", f"/v1/syncs/{sync}")
            states = {row["state"] for row in found["resources"]} - ENDED
            return found if states == {"waiting"} else None

        result: dict[str, Any] = eventually(waiting, every=0.05)
        return result

    def items(self, connection: str, resource: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield all items, page by page."""
        params = {"connection_id": connection, "page_size": "200"} | (
            {"resource": resource} if resource else {}
        )
        while True:
            page = self.api("GET", "/v1/items", params=params)
            yield from page["items"]
            if not page["next_page_token"]:
                return
            params["page_token"] = page["next_page_token"]

    # what we tell the sandbox

    def control(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, f"{self.sandbox}/_sandbox/{path}", **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def unlimited(self, provider: str) -> None:
        self.control("PUT", f"{provider}/limits", json={"off": True})

    def account(
        self,
        provider: str,
        counts: Mapping[str, int],
        *,
        name: str = "Made",
        seed: int = 5,
        properties: int = 0,
        same_data_as: str | None = None,
    ) -> str:
        given = {"name": name, "seed": seed, "counts": dict(counts), "properties": properties}
        given |= {} if same_data_as is None else {"same_data_as": same_data_as}
        made = self.control("POST", f"{provider}/accounts", json=given)
        return str(made["account_id"])

    def ledger(self, provider: str, account: str, resource: str) -> dict[str, dict[str, Any]]:
        """Return id → row of what really exists there now."""
        rows = self.control(
            "GET", f"{provider}/accounts/{account}/ledger", params={"resource": resource}
        )["items"]
        return {row["id"]: row for row in rows if not row["archived"]}

    def default_account(self, provider: str) -> str:
        return str(self.control("GET", f"{provider}/accounts")["items"][0]["id"])

    def differences(
        self, provider: str, account: str, connection: str
    ) -> dict[str, tuple[int, int]]:
        """Return resource → (lost, phantom) where we and the ledger differ."""
        found = {}
        for resource in RESOURCES[provider]:
            ours = [item["id"] for item in self.items(connection, resource)]
            theirs = self.ledger(provider, account, resource)
            assert len(ours) == len(set(ours)), f"{resource}: doubled"
            if set(ours) != set(theirs):
                found[resource] = (len(set(theirs) - set(ours)), len(set(ours) - set(theirs)))
        return found
