"""Access tokens, fetched from auth and kept in memory until shortly before they expire."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from services.fetcher.settings import FetcherSettings
from shared.connector import Reauthorize, Reject, RetryLater
from shared.contracts.auth import AccessToken, ErrorBody, TokenRequest
from shared.http import HttpClient, HttpError

EARLY_S: Final = 60.0
AUTH_AWAY: Final = "auth_unavailable"
AWAY_S: Final = 3.0


class Tokens:
    """``get`` answers from memory; ``stale_version`` asks for a newer token than the one the provider refused."""

    def __init__(self, http: HttpClient, settings: FetcherSettings) -> None:
        self._http, self._settings = http, settings
        self._held: dict[str, tuple[AccessToken, float]] = {}

    async def get(self, connection_id: str, *, stale_version: int | None = None) -> AccessToken:
        """Raise Reauthorize when the customer must consent again, RetryLater when auth cannot say now."""
        held = self._held.get(connection_id)
        if held and held[0].token_version != stale_version and time.monotonic() < held[1]:
            return held[0]
        token = await self._ask(connection_id, stale_version)
        lasts = token.expires_in_s - EARLY_S if token.expires_in_s is not None else float("inf")
        self._held[connection_id] = (token, time.monotonic() + lasts)
        return token

    def forget(self, connection_id: str) -> None:
        self._held.pop(connection_id, None)

    async def _ask(self, connection_id: str, stale_version: int | None) -> AccessToken:
        try:
            answer = await self._http.request(
                "POST",
                f"{self._settings.auth_url}/connections/{connection_id}/token",
                headers={"authorization": f"Bearer {self._settings.service_secret.reveal()}"},
                json=msgspec.to_builtins(TokenRequest(stale_version=stale_version)),
                timeout_s=35,
            )
        except HttpError as error:
            raise _away("The auth service does not answer; going on when it does.") from error
        if answer.status < 300:
            return msgspec.json.decode(answer.body, type=AccessToken)
        self.forget(connection_id)
        problem = _error(answer.body)
        if problem.code == "reauth_required":
            raise Reauthorize(problem.detail, code=problem.code)
        if answer.status in {404, 409, 410}:
            raise Reject(problem.detail, code=problem.code)
        if answer.status == 503:
            raise _away(problem.detail)
        raise RetryLater(problem.detail, code=problem.code)


def _away(reason: str) -> RetryLater:
    return RetryLater(reason, code=AUTH_AWAY, after_s=AWAY_S)


def _error(body: bytes) -> ErrorBody:
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        return ErrorBody(code=AUTH_AWAY, detail="The auth service did not answer as expected.")
