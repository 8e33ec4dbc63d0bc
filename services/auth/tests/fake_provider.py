"""Play a strict authorization server behind a transport, with the refusals of RFC 6749."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
from typing_extensions import override

from shared.connector import Identity, OAuth2, Original, Provider, Resource
from shared.installation import ProviderRuntime
from shared.settings import SecretStr

REDIRECT = "http://localhost:8000/integrations/{slug}/oauth2callback"
CLIENT, SECRET = "client-1", "canary-client-secret-0123456789"
BASE = "http://provider.test"


def runtime(slug: str = "acme", *, secret: str | None = SECRET, **oauth: Any) -> ProviderRuntime:
    identity = Identity(
        account_id=("identity.id",),
        account_name=("identity.name",),
        grantee=("token.owner.user",),
        url="{api_url}/whoami",
    )
    dialect: dict[str, Any] = {
        "authorize_url": f"{BASE}/authorize",
        "token_url": f"{BASE}/token",
        "scopes": ("things:read", "notes:read"),
        "client_auth": "basic",
        "rotates": True,
        "revoke_url": "{token_url}/revoke",
        "identity": identity,
    }
    shown = Original(type="Thing")
    provider = Provider(
        slug=slug,
        name=slug.capitalize(),
        api_url=BASE,
        oauth=OAuth2(**{**dialect, **oauth}),
        resources=(
            Resource(slug="things", label="Things", original=shown, scopes=("things:read",)),
            Resource(slug="notes", label="Notes", original=shown, scopes=("notes:read",)),
        ),
        buckets=(),
        setup_url=BASE,
        consent_note="All your things.",
    )
    return ProviderRuntime(
        provider=provider,
        client_id=CLIENT,
        client_secret=SecretStr(secret) if secret else None,
        scopes=provider.oauth.scopes,
        authorize_url=provider.oauth.authorize_url,
        token_url=provider.oauth.token_url,
        api_url=BASE,
    )


@dataclass
class Consent:
    account: str
    redirect_uri: str
    challenge: str | None
    scopes: str


@dataclass
class FakeProvider(httpx.AsyncBaseTransport):
    """``faults`` are taken one per request of their kind:

    ``lose`` (done, answer lost), ``unreachable``, ``garble``,
    ``inactive`` (what an introspection says of a dead token), a status.

    While ``gate`` is closed requests arrive and are not answered.
    """

    runtime: ProviderRuntime
    lifetime: int | None = 3600
    grace: bool = False
    granted: str | None = None
    faults: dict[str, list[str | int]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    bodies: list[str] = field(default_factory=list)
    codes: dict[str, Consent] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    retired: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.gate.set()

    async def arrived(self, kind: str, count: int = 1) -> None:
        """Wait until so many requests of this kind have come in."""
        async with self.news:
            await self.news.wait_for(lambda: self.seen[kind] >= count)

    def consent(
        self, authorize_url: str, *, account: str = "a1", decision: str = "allow"
    ) -> dict[str, str]:
        """Return what the browser brings back after the person decided.

        Raises:
            AssertionError: this provider would refuse the URL.
        """
        parts = urlsplit(authorize_url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)
        query = dict(pairs)
        assert len(query) == len(pairs), "a parameter came twice"
        assert authorize_url.startswith(self.runtime.authorize_url + "?")
        assert (query["client_id"], query["response_type"]) == (CLIENT, "code")
        assert query["redirect_uri"] == REDIRECT.format(slug=self.runtime.provider.slug)
        assert len(query["state"]) >= 43
        if decision == "deny":
            return {"error": "access_denied", "state": query["state"]}
        challenge = query.get("code_challenge")
        assert bool(challenge) == self.runtime.provider.oauth.pkce
        assert challenge is None or query["code_challenge_method"] == "S256"
        code = "canary-code-" + secrets.token_urlsafe(16)
        self.codes[code] = Consent(account, query["redirect_uri"], challenge, query["scope"])
        return {"code": code, "state": query["state"]}

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        body = (await request.aread()).decode()
        form = (
            dict(parse_qsl(body))
            if b"form" in request.headers.get("content-type", "").encode()
            else {}
        )
        kind = {"/token": form.get("grant_type", "token")}.get(path, path.strip("/"))
        self.seen[kind] += 1
        self.bodies.append(body)
        async with self.news:
            self.news.notify_all()
        await self.gate.wait()
        fault = self.faults[kind].pop(0) if self.faults.get(kind) else None
        if fault == "unreachable":
            raise httpx.ConnectError("refused", request=request)
        if isinstance(fault, int):
            return httpx.Response(fault, json={"error": "server_error"}, request=request)
        if fault == "inactive":
            return _json(200, {"active": False, "domain": "gone.example"})
        answer = self._answer(kind, form, request)
        if fault == "lose":
            raise httpx.ReadError("reset", request=request)
        if fault == "garble":
            return httpx.Response(200, html="<html>", request=request)
        return answer

    def _answer(self, kind: str, form: dict[str, str], request: httpx.Request) -> httpx.Response:
        if kind == "whoami":
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            account = self.access.get(token)
            return (
                _json(200, {"id": account, "name": f"Account {account}"})
                if account
                else _json(401, {})
            )
        if not self._client_ok(form, request):
            return _error(401, "invalid_client")
        if kind == "authorization_code":
            return self._code(form)
        if kind == "refresh_token":
            return self._refresh(form)
        return self._about_token(kind, form["token"])

    def _about_token(self, kind: str, token: str) -> httpx.Response:
        if kind == "token/introspect":
            return _json(
                200, {"active": True, "domain": f"{self.access[token]}.example", "token": token}
            )
        assert kind == "token/revoke"
        self.refresh.pop(token, None)
        return _json(200, {})

    def _client_ok(self, form: dict[str, str], request: httpx.Request) -> bool:
        given = request.headers.get("authorization", "")
        if self.runtime.client_secret is None:
            return not given and form.get("client_id") == CLIENT and "client_secret" not in form
        if self.runtime.provider.oauth.client_auth == "basic":
            expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            return given == expected and "client_secret" not in form
        return not given and (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)

    def _code(self, form: dict[str, str]) -> httpx.Response:
        consent = self.codes.pop(form.get("code", ""), None)
        if consent is None or form.get("redirect_uri") != consent.redirect_uri:
            return _error(400, "invalid_grant")
        if consent.challenge is not None:
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != consent.challenge:
                return _error(400, "invalid_grant")
        return self._pair(consent.account, self.granted or consent.scopes)

    def _refresh(self, form: dict[str, str]) -> httpx.Response:
        token = form.get("refresh_token", "")
        account = self.refresh.get(token) or (self.retired.get(token) if self.grace else None)
        if account is None:
            return _error(400, "invalid_grant")
        if not self.runtime.provider.oauth.rotates:
            return self._pair(account, self.granted, refresh=token)
        self.refresh = {key: value for key, value in self.refresh.items() if value != account}
        self.access = {key: value for key, value in self.access.items() if value != account}
        self.retired[token] = account
        return self._pair(account, self.granted)

    def _pair(
        self, account: str, scopes: str | None, *, refresh: str | None = None
    ) -> httpx.Response:
        access = "canary-access-" + secrets.token_urlsafe(16)
        refresh = refresh or "canary-refresh-" + secrets.token_urlsafe(16)
        self.access[access] = self.refresh[refresh] = account
        reply = {"access_token": access, "refresh_token": refresh, "token_type": "bearer "}
        reply |= {"scope": scopes} if scopes else {}
        return _json(200, {**reply, **({"expires_in": self.lifetime} if self.lifetime else {})})


def _json(status: int, body: Any) -> httpx.Response:
    return httpx.Response(
        status, content=msgspec.json.encode(body), headers={"content-type": "application/json"}
    )


def _error(status: int, code: str) -> httpx.Response:
    return _json(status, {"error": code, "error_description": "<b>canary-description</b>"})
