"""One provider's authorization server, as this installation is registered there, and how its answers are read."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from itertools import chain, takewhile
from typing import Any, Final, Literal, final
from urllib.parse import urlencode, urlsplit

import msgspec

from services.auth.credentials import Pair
from services.auth.oauth_client.failures import (
    Away,
    Lost,
    ProviderFailure,
    answer_failure,
    transport_failure,
)
from shared.clock import now
from shared.connector import Identity, Provider
from shared.http import HttpClient, HttpError, HttpResponse
from shared.installation import ProviderRuntime
from shared.settings import SecretStr

DEADLINE_S: Final = 10.0
REVOKE_S: Final = 5.0
AT_ONCE: Final = 8


class Unreadable(Exception):
    """A reply with a good status that is no token reply."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """``scopes`` None: the provider did not say, so what was asked for stands. ``facts``: the reply without tokens."""

    pair: Pair
    scopes: tuple[str, ...] | None
    facts: dict[str, Any]


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    account_name: str | None
    grantee: str | None


@final
class TokenEndpoint:
    """``refresh_permits`` lets at most 8 refreshes of the provider run at once.

    Closes nothing: the client is the composer's.
    """

    def __init__(
        self, runtime: ProviderRuntime, http: HttpClient, *, clock: Callable[[], float] = now
    ) -> None:
        self.runtime = runtime
        self.provider = runtime.provider
        self.refresh_permits = asyncio.Semaphore(AT_ONCE)
        self._oauth = runtime.provider.oauth
        self._http = http
        self._clock = clock

    def authorize_url(self, *, redirect_uri: str, state: str, challenge: str | None) -> str:
        params = {
            "client_id": self.runtime.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            **({"scope": " ".join(self.runtime.scopes)} if self.runtime.scopes else {}),
            "state": state,
            **({"code_challenge": challenge, "code_challenge_method": "S256"} if challenge else {}),
            **self._oauth.authorize_params,
        }
        base = self.runtime.authorize_url
        return f"{base}{'&' if urlsplit(base).query else '?'}{urlencode(params)}"

    async def exchange(self, code: str, *, redirect_uri: str, verifier: str | None) -> Grant:
        """Raises ``ProviderFailure``; the code is spent either way."""
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return await self._grant({**body, **({"code_verifier": verifier} if verifier else {})})

    async def refresh(self, refresh_token: SecretStr) -> Grant:
        """Raises ``ProviderFailure``; after ``Lost`` nobody knows which pair is good."""
        return await self._grant(
            {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        )

    async def identity(self, access: SecretStr) -> Any:
        """The identity call's JSON, None where the provider's data names no such call. Raises ``ProviderFailure``."""
        if self._oauth.identity.url is None:
            return None
        response = await self._whoami(access)
        if response.status >= 300:
            raise answer_failure(response, self._oauth)
        try:
            return response.json()
        except HttpError as error:
            raise Away(error.code, status=response.status) from None

    async def introspection(self, access: SecretStr) -> Mapping[str, Any] | None:
        """What RFC 7662 §2.2 tells of a token; None for an inactive one, and where there is no such call.

        Raises ``ProviderFailure``.
        """
        if self._oauth.introspect_url is None:
            return None
        url = self._complete(self._oauth.introspect_url)
        response = await self._post(
            url, {"token": access.reveal(), **self._oauth.introspect_params}, DEADLINE_S
        )
        if response.status >= 300:
            raise answer_failure(response, self._oauth)
        try:
            told = response.json()
        except HttpError as error:
            raise Away(error.code, status=response.status) from None
        return told if isinstance(told, Mapping) and told.get("active") is True else None

    async def probe(self, access: SecretStr) -> Literal["lives", "refused", "undecided"]:
        """Whether an access token still opens the identity call. Raises nothing."""
        try:
            status = (await self._whoami(access)).status
        except ProviderFailure:
            return "undecided"
        if status in {401, 403}:
            return "refused"
        return "lives" if status < 300 else "undecided"

    @property
    def can_probe(self) -> bool:
        return self._oauth.identity.url is not None

    async def revoke(self, pair: Pair) -> None:
        """Nothing where the provider has no such call. Raises ``ProviderFailure``."""
        if self._oauth.revoke_url is None:
            return
        access_only = self._oauth.revoke_token == "access_token" or pair.refresh is None
        token = pair.access if access_only or pair.refresh is None else pair.refresh
        url = self._complete(self._oauth.revoke_url)
        response = await self._post(
            url, {"token": token.reveal(), **self._oauth.revoke_params}, REVOKE_S
        )
        if response.status >= 300:
            raise answer_failure(response, self._oauth)

    async def _grant(self, body: dict[str, str]) -> Grant:
        sent = self._clock()
        response = await self._post(self.runtime.token_url, body, DEADLINE_S)
        if response.status >= 300:
            raise answer_failure(response, self._oauth)
        try:
            return read_grant(response.json(), now=sent)
        except (HttpError, Unreadable):
            raise Lost("unreadable", status=response.status) from None

    async def _whoami(self, access: SecretStr) -> HttpResponse:
        identity = self._oauth.identity
        headers = {"authorization": f"Bearer {access.reveal()}", **identity.headers}
        try:
            return await self._http.request(
                "GET", self._complete(identity.url or ""), headers=headers, timeout_s=DEADLINE_S
            )
        except HttpError as error:
            raise Away(error.code) from None

    async def _post(self, url: str, body: dict[str, str], timeout_s: float) -> HttpResponse:
        headers, body = self._authenticated(body)
        as_json = self._oauth.token_body == "json"
        try:
            if as_json:
                return await self._http.request(
                    "POST", url, headers=headers, json=body, timeout_s=timeout_s
                )
            return await self._http.request(
                "POST", url, headers=headers, form=body, timeout_s=timeout_s
            )
        except HttpError as error:
            raise transport_failure(error) from None

    def _authenticated(self, body: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """A public client has no secret to authenticate with: it names itself in the body (RFC 6749 §3.2.1)."""
        headers = dict(self._oauth.token_headers)
        client_id, secret = self.runtime.client_id, self.runtime.client_secret
        if secret is None:
            return headers, {**body, "client_id": client_id}
        if self._oauth.client_auth == "body":
            return headers, {**body, "client_id": client_id, "client_secret": secret.reveal()}
        basic = base64.b64encode(f"{client_id}:{secret.reveal()}".encode()).decode()
        return {**headers, "authorization": f"Basic {basic}"}, body

    def _complete(self, template: str) -> str:
        return template.format(api_url=self.runtime.api_url, token_url=self.runtime.token_url)


def read_grant(body: Any, *, now: float) -> Grant:
    """``now`` is when the request was sent: a token is never taken to live longer than it does. Raises Unreadable."""
    access = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(access, str) or not access:
        raise Unreadable
    refresh = body.get("refresh_token")
    pair = Pair(
        access=SecretStr(access),
        refresh=SecretStr(refresh) if isinstance(refresh, str) and refresh else None,
        access_expires_at=_moment(body.get("expires_in"), now),
        refresh_expires_at=_moment(body.get("refresh_expires_in"), now),
    )
    hidden = {"access_token", "refresh_token", "id_token"}
    facts = {name: value for name, value in body.items() if name not in hidden}
    return Grant(pair=pair, scopes=_scopes(body), facts=facts)


def needs_introspection(identity: Identity, grant: Grant) -> bool:
    """Whether one of its paths could win: none before it is present in the token reply."""
    told = {"token": grant.facts}
    fields = (identity.account_id, identity.account_name, identity.grantee)
    reached = (takewhile(lambda path: _first(told, (path,)) is None, paths) for paths in fields)
    return any(path.startswith("introspection.") for path in chain.from_iterable(reached))


def identify(
    identity: Identity, grant: Grant, *, reply: Any, introspected: Any
) -> Identified | None:
    """None when no account id is where the provider's data says it is."""
    sources = {"token": grant.facts, "identity": reply, "introspection": introspected}
    account_id = _first(sources, identity.account_id)
    if account_id is None:
        return None
    return Identified(
        account_id=account_id,
        account_name=_first(sources, identity.account_name),
        grantee=_first(sources, identity.grantee),
    )


def granted_resources(provider: Provider, scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        resource.slug for resource in provider.resources if set(resource.scopes) <= set(scopes)
    )


def _first(sources: Mapping[str, Any], paths: tuple[str, ...]) -> str | None:
    found = (_at(sources, path.split(".")) for path in paths)
    return next((value for value in found if value is not None), None)


def _at(value: Any, steps: list[str]) -> str | None:
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)[:256] or None


def _moment(seconds: Any, now: float) -> float | None:
    """Some servers write the number as a string."""
    try:
        lifetime = None if seconds is None or isinstance(seconds, bool) else float(seconds)
    except (TypeError, ValueError):
        lifetime = None
    return now + lifetime if lifetime is not None and 0 < lifetime < 1e9 else None


def _scopes(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    listed, text = body.get("scopes"), body.get("scope")
    if isinstance(listed, list):
        return tuple(scope for scope in listed if isinstance(scope, str))
    return tuple(text.split()) if isinstance(text, str) and text.strip() else None
