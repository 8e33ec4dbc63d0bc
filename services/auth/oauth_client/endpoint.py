"""Call one provider's authorization server as this installation's app, and read its answers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
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

# Half of the time for which an attempt is protected (refresh/attempt.py).
DEADLINE_S: Final = 10.0
# A person waits for a disconnect, and revoking is only a courtesy by then.
REVOKE_S: Final = 5.0
# After an outage many connections refresh at once, and a provider may allow ten calls a second.
AT_ONCE: Final = 8


class Unreadable(Exception):
    """A reply has a good status but is no token reply."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a consent or refresh. ``facts`` is the token reply without its tokens.

    ``scopes`` None means that the provider did not say: all that was asked for is granted
    (RFC 6749 §5.1).
    """

    pair: Pair
    scopes: tuple[str, ...] | None
    facts: dict[str, Any]


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    account_name: str | None
    grantee: str | None
    metered: dict[str, str]


@final
class TokenEndpoint:
    """One provider's authorization server.

    ``refresh_permits`` lets at most 8 refreshes run at once. The HTTP client is the composer's to
    close.
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
            "state": state,
        }
        if self.runtime.scopes:
            params["scope"] = " ".join(self.runtime.scopes)
        if challenge:
            params |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        params |= self._oauth.authorize_params
        base = self.runtime.authorize_url
        separator = "&" if urlsplit(base).query else "?"
        return f"{base}{separator}{urlencode(params)}"

    async def exchange(self, code: str, *, redirect_uri: str, verifier: str | None) -> Grant:
        """Exchange a code for a grant. The code is spent even when this fails.

        Raises:
            ProviderFailure: there is no grant.
        """
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        if verifier:
            body["code_verifier"] = verifier
        return await self._grant(body)

    async def refresh(self, refresh_token: SecretStr) -> Grant:
        """Exchange a refresh token for a new pair.

        Raises:
            ProviderFailure: there is no new pair. After ``Lost``, nobody knows which pair is good.
        """
        return await self._grant(
            {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        )

    async def identity(self, access: SecretStr) -> Any:
        """Return the identity call's JSON, None where the provider has no such call.

        Raises:
            ProviderFailure: the call failed.
        """
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
        """Return what introspection says of a token (RFC 7662 §2.2).

        None for an inactive token, and where the provider has no such call.

        Raises:
            ProviderFailure: the call failed.
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
        """Return whether an access token still opens the identity call. Never raises."""
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
        """Revoke the grant, if the provider has a call for it (RFC 7009).

        Raises:
            ProviderFailure: the call failed.
        """
        if self._oauth.revoke_url is None:
            return
        token = pair.access
        if self._oauth.revoke_token == "refresh_token" and pair.refresh is not None:
            token = pair.refresh
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
        """Return headers and body with the client's authentication."""
        headers = dict(self._oauth.token_headers)
        client_id, secret = self.runtime.client_id, self.runtime.client_secret
        # A public client has no secret: it names itself in the body (RFC 6749 §3.2.1).
        if secret is None:
            return headers, {**body, "client_id": client_id}
        if self._oauth.client_auth == "body":
            return headers, {**body, "client_id": client_id, "client_secret": secret.reveal()}
        basic = base64.b64encode(f"{client_id}:{secret.reveal()}".encode()).decode()
        return {**headers, "authorization": f"Basic {basic}"}, body

    def _complete(self, template: str) -> str:
        return template.format(api_url=self.runtime.api_url, token_url=self.runtime.token_url)


def read_grant(body: Any, *, now: float) -> Grant:
    """Return the grant in a token reply.

    ``now`` is when the request was sent, so that no token is thought to live longer than it does.

    Raises:
        Unreadable: it is no token reply.
    """
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
    """Return whether introspection could tell what the token reply does not.

    Its path counts only while no path before it is present in the token reply.
    """
    told = {"token": grant.facts}
    for paths in (identity.account_id, identity.account_name, identity.grantee):
        for path in paths:
            if path.startswith("introspection."):
                return True
            if _first(told, (path,)) is not None:
                break
    return False


def identify(
    identity: Identity, grant: Grant, *, reply: Any, introspected: Any
) -> Identified | None:
    """Return who connected, None when no account id is where the provider's data says it is."""
    sources = {"token": grant.facts, "identity": reply, "introspection": introspected}
    account_id = _first(sources, identity.account_id)
    if account_id is None:
        return None
    return Identified(
        account_id=account_id,
        account_name=_first(sources, identity.account_name),
        grantee=_first(sources, identity.grantee),
        metered=metered(identity, grant, account_id=account_id),
    )


def metered(identity: Identity, grant: Grant, *, account_id: str) -> dict[str, str]:
    """Return the ids of what the provider meters, as far as a token reply tells them."""
    sources = {"token": grant.facts, "account": {"id": account_id}}
    found = {name: _first(sources, paths) for name, paths in identity.metered.items()}
    return {name: id_ for name, id_ in found.items() if id_ is not None}


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
    """Return when a lifetime in seconds ends, None when there is none or it makes no sense."""
    if isinstance(seconds, bool):
        return None
    try:
        lifetime = float(seconds)  # some servers write the number as a string
    except (TypeError, ValueError):
        return None
    # A thousand million seconds are 32 years; beyond that it is no lifetime. NaN fails the test
    # too.
    return now + lifetime if 0 < lifetime < 1e9 else None


def _scopes(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    listed, text = body.get("scopes"), body.get("scope")
    if isinstance(listed, list):
        return tuple(scope for scope in listed if isinstance(scope, str))
    return tuple(text.split()) if isinstance(text, str) and text.strip() else None
