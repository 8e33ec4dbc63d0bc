"""Access tokens, fetched from auth and kept in memory until shortly before they expire."""

from __future__ import annotations

import time

import msgspec

from services.fetcher.settings import FetcherSettings
from shared.connector import Reauthorize, Reject, RetryLater
from shared.contracts.auth import AccessToken, ErrorBody, TokenRequest
from shared.http import HttpClient, HttpError

EARLY_S = 60.0
AUTH_AWAY = "auth_unavailable"
AWAY_S = 3.0


class Tokens:
    """``get`` answers from memory; ``not_epoch`` asks for a newer token than the one the provider refused."""

    def __init__(self, http: HttpClient, settings: FetcherSettings) -> None:
        self._http, self._settings = http, settings
        self._held: dict[str, tuple[AccessToken, float]] = {}

    async def get(self, connection: str, *, not_epoch: int | None = None) -> AccessToken:
        """Raise Reauthorize when the customer must consent again, RetryLater when auth cannot say now."""
        held = self._held.get(connection)
        if held and held[0].epoch != not_epoch and time.monotonic() < held[1]:
            return held[0]
        token = await self._ask(connection, not_epoch)
        lasts = token.expires_in_s - EARLY_S if token.expires_in_s is not None else float("inf")
        self._held[connection] = (token, time.monotonic() + lasts)
        return token

    def forget(self, connection: str) -> None:
        self._held.pop(connection, None)

    async def _ask(self, connection: str, not_epoch: int | None) -> AccessToken:
        try:
            answer = await self._http.request(
                "POST",
                f"{self._settings.auth_url}/connections/{connection}/token",
                headers={"authorization": f"Bearer {self._settings.service_secret.reveal()}"},
                json=msgspec.to_builtins(TokenRequest(not_epoch=not_epoch)),
                timeout_s=35,
            )
        except HttpError as error:
            raise _away("The auth service does not answer; going on when it does.") from error
        if answer.status < 300:
            return msgspec.json.decode(answer.body, type=AccessToken)
        self.forget(connection)
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
