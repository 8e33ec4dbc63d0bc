"""Serve the sandboxes on a loopback port, and connect their accounts as auth does."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from deploy.sandbox import create_app, sandbox_clients
from deploy.sandbox.providers import SandboxModule
from deploy.sandbox.world import SandboxClient
from services.auth.connect.callback import identified
from services.auth.oauth_client import ProviderFailure, TokenEndpoint
from services.auth.oauth_client.endpoint import Identified
from shared.connector import Provider
from shared.http import HttpClient, HttpResponse
from shared.installation import ProviderRuntime
from shared.settings import SecretStr
from tests.conformance.subject import Subject, Unwritten
from tests.support.serving import served_in_thread

PRODUCT: Final = "http://localhost:8000"
VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
"""The code verifier of RFC 7636, appendix B."""
STATE: Final = "0123456789abcdef.-_Z"
MOST_ROWS: Final = 1_500
"""The most rows of a resource that a walk reads: enough for several pages, and quickly read."""
DEADLINE_S: Final = 60.0


@dataclass(frozen=True)
class Sandboxes:
    """Hold a running server's URL and our apps at its providers, by slug."""

    url: str
    clients: Mapping[str, SandboxClient]


@dataclass(frozen=True)
class Connected:
    """Hold an access token and the account that it opens."""

    access_token: str
    who: Identified


@contextmanager
def served(folder: Path, modules: Mapping[str, SandboxModule]) -> Iterator[Sandboxes]:
    """Serve ``modules`` from a thread of its own, so that every test's event loop can call them."""
    clients = sandbox_clients(folder, PRODUCT, modules)
    with served_in_thread(create_app(folder, clients, modules)) as url:
        yield Sandboxes(url, clients)


class SandboxClientApp:
    """Act as our app at one provider's sandbox, and ask its control API what is really there."""

    def __init__(self, subject: Subject, sandboxes: Sandboxes, http: HttpClient) -> None:
        self._subject, self._sandboxes, self.http = subject, sandboxes, http
        self.runtime = _runtime(subject.provider(), sandboxes)
        self._endpoint = TokenEndpoint(self.runtime, http)

    async def shown(self, link: str) -> int:
        """Return the status of the sandbox's page at the path of an item's link."""
        parts = urlsplit(link)
        query = f"?{parts.query}" if parts.query else ""
        url = f"{self._sandboxes.url}/{self._subject.slug}{parts.path}{query}"
        return (await self.http.request("GET", url, timeout_s=DEADLINE_S)).status

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call ``/_sandbox/{slug}{path}`` and return its JSON."""
        url = f"{self._sandboxes.url}/_sandbox/{self._subject.slug}{path}"
        given = {} if body is None else {"json": body}
        answer = await self.http.request(method, url, timeout_s=DEADLINE_S, **given)
        if answer.status >= 300:
            raise Unwritten(f"{self._subject.sandbox_at}: {method} {path} failed: {answer.body!r}")
        return answer.json()

    async def later(self, seconds: float) -> None:
        """Move the clock of all sandboxes that this server runs."""
        url = f"{self._sandboxes.url}/_sandbox/clock"
        answer = await self.http.request("POST", url, json={"advance_s": seconds})
        if answer.status >= 300:
            raise Unwritten(f"{self._subject.sandbox_at}: the clock did not move: {answer.body!r}")

    async def new_account(self, name: str, seed: int = 7) -> str:
        """Return the id of a new account: the default one's counts, up to ``MOST_ROWS`` each."""
        default = (await self.control("GET", "/accounts"))["items"][0]
        counts = {resource: min(count, MOST_ROWS) for resource, count in default["counts"].items()}
        made = await self.control(
            "POST", "/accounts", {"name": name, "seed": seed, "counts": counts}
        )
        return str(made["account_id"])

    async def readable(self, account: str, resource: str) -> set[str]:
        """Return the ids that a walk has to find."""
        listed = await self.control("GET", f"/accounts/{account}/ledger?resource={resource}")
        return {row["id"] for row in listed["items"] if not row["archived"]}

    async def connect(self, account: str) -> Connected:
        """Consent as a person does, and finish as auth does.

        Raises:
            Unwritten: the sandbox does not answer as the provider's data says.
        """
        redirect_uri = self._sandboxes.clients[self._subject.slug].redirect_uris[0]
        pkce = self._subject.provider().oauth.pkce
        url = self._endpoint.authorize_url(
            redirect_uri=redirect_uri, state=STATE, challenge=_challenge() if pkce else None
        )
        await self._page(url)
        form = {"decision": "allow", "account": account}
        answer = await self.http.request("POST", url, form=form, timeout_s=DEADLINE_S)
        code = self._code(answer)
        try:
            grant = await self._endpoint.exchange(
                code, redirect_uri=redirect_uri, verifier=VERIFIER if pkce else None
            )
            who = await identified(grant, endpoint=self._endpoint)
        except ProviderFailure as failure:
            raise Unwritten(
                f"{self._subject.sandbox_at}: the token or identity call failed with status "
                f"{failure.status} ({failure.code}, {type(failure).__name__}). Answer at the paths "
                "of oauth.token_url and oauth.identity.url as the provider does."
            ) from None
        if who is None:
            paths = ", ".join(self._subject.provider().oauth.identity.account_id)
            raise Unwritten(
                f"{self._subject.at('__init__.py')}: none of the identity's account_id paths "
                f"({paths}) is in what {self._subject.sandbox_at} answers. Name a path that is, "
                "or add it to the answer."
            )
        return Connected(grant.pair.access.reveal(), who)

    async def _page(self, url: str) -> None:
        shown = await self.http.request("GET", url, timeout_s=DEADLINE_S)
        if shown.status != 200:
            raise Unwritten(
                f"{self._subject.sandbox_at}: the consent page is refused with status "
                f"{shown.status}: {shown.body[:300]!r}. Serve it at the path of "
                "oauth.authorize_url, and know every scope that is asked for."
            )

    def _code(self, answer: HttpResponse) -> str:
        sent_to = answer.headers.get("location", "")
        query = parse_qs(urlsplit(sent_to).query)
        if answer.status != 302 or "code" not in query or query.get("state") != [STATE]:
            raise Unwritten(
                f"{self._subject.sandbox_at}: allowing on the consent page gave status "
                f"{answer.status} and {sent_to or 'no location'!r}. Redirect to the callback with "
                "`code` and the `state` that came."
            )
        return query["code"][0]


def _runtime(provider: Provider, sandboxes: Sandboxes) -> ProviderRuntime:
    def moved(url: str) -> str:
        return f"{sandboxes.url}/{provider.slug}{urlsplit(url).path}".rstrip("/")

    client = sandboxes.clients[provider.slug]
    return ProviderRuntime(
        provider=provider,
        client_id=client.id,
        client_secret=SecretStr(client.secret),
        scopes=provider.oauth.scopes,
        authorize_url=moved(provider.oauth.authorize_url),
        token_url=moved(provider.oauth.token_url),
        api_url=moved(provider.api_url),
        simulated=True,
    )


def _challenge() -> str:
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
