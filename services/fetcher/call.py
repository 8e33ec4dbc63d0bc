"""Call a provider for a connection: with its token, within its quota, and read the answer.

Whatever goes wrong is raised as an ``Interruption``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from services.fetcher.circuits import Circuits
from services.fetcher.metrics import LIMITED, WAITED, WAITS
from services.fetcher.settings import FetcherSettings, Runtime
from shared import clock
from shared.connector import (
    MALFORMED_PAGE,
    Connector,
    Interruption,
    Reauthorize,
    Reject,
    Request,
    Response,
    Restart,
    RetryLater,
    retry_after,
)
from shared.contracts.auth import AccessToken, ErrorBody, TokenRequest
from shared.contracts.connections import Connection
from shared.http import (
    BadBody,
    BodyTooLarge,
    HttpClient,
    HttpError,
    HttpResponse,
    MalformedBody,
    TooSlow,
    decode_json,
)
from shared.quota import Quota, Window, wait

RATE_LIMIT_S: Final = 10.0
"""The wait after a rate limit when the answer does not ask for one."""
EARLY_S: Final = 60.0
"""Ask auth again a minute before a token expires. Auth itself refreshes five minutes before."""
AUTH_AWAY: Final = "auth_unavailable"
TOKEN_REFUSED: Final = "fresh_token_refused"
AWAY_S: Final = 3.0
"""A short wait, because auth is usually just restarting."""
NO_FAILURES: Final = frozenset({"rate_limited", AUTH_AWAY})
ANSWERED: Final = NO_FAILURES | {TOKEN_REFUSED}
"""Codes that are not the provider's failure: keep trying for as long as it takes."""
NOT_THE_API: Final = "not_the_api"
TOO_LARGE: Final = frozenset({413, 414, 431})
"""Statuses that mean that the request itself is too large. Waiting does not help, even if the
answer comes from the network in front of the API."""
TOO_MUCH: Final = frozenset({413, 504, 524})
"""The answer would be too large, or took too long to make: fewer records may get through. 524 is
Cloudflare's time-out, https://developers.cloudflare.com/support/troubleshooting/http-status-codes/
"""
PASSING: Final = frozenset({408, 423, 425, 477})
"""A request that took too long or came too early, and accounts that are locked or being moved."""
OF_ACCOUNT: Final = frozenset({423, 429, 477})
"""The account is locked, limited, or being moved: others may be answered."""

log = structlog.get_logger()


class Tokens:
    """Ask auth for access tokens, and remember them until shortly before they expire."""

    def __init__(self, http: HttpClient, settings: FetcherSettings) -> None:
        self._http, self._settings = http, settings
        self._held: dict[str, tuple[AccessToken, float]] = {}

    async def get(self, connection_id: str, *, stale_version: int | None = None) -> AccessToken:
        """Return an access token; pass ``stale_version``, the one refused, to get a newer one.

        Raises:
            Reauthorize: the customer must consent again.
            RetryLater: auth does not answer, or has no valid token right now.
            Reject: the connection is gone.
        """
        held = self._held.get(connection_id)
        if held and held[0].token_version != stale_version and clock.monotonic() < held[1]:
            return held[0]
        token = await self._ask(connection_id, stale_version)
        lasts = token.expires_in_s - EARLY_S if token.expires_in_s is not None else float("inf")
        self._held[connection_id] = (token, clock.monotonic() + lasts)
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
                # A refresh may wait 20 s for a dead process's attempt to end, and then take 10 s.
                timeout_s=35,
            )
        except HttpError as error:
            raise _away("The auth service does not answer.") from error
        if answer.status < 300:
            return msgspec.json.decode(answer.body, type=AccessToken)
        self.forget(connection_id)
        problem = _error(answer.body)
        if problem.code == "reauth_required":
            raise Reauthorize(problem.detail, code=problem.code)
        if answer.status in {404, 409, 410}:
            raise Reject(problem.detail, code=problem.code, everything=True)
        if answer.status == 503:
            raise _away(problem.detail)
        raise RetryLater(problem.detail, code=problem.code)


class ProviderCall:
    """Call a provider for one connection; a ``shared.connector.Call``."""

    def __init__(
        self,
        connection: Connection,
        runtime: Runtime,
        connector: Connector,
        *,
        http: HttpClient,
        quota: Quota,
        tokens: Tokens,
        circuits: Circuits,
    ) -> None:
        self._connection, self._runtime, self._connector = connection, runtime, connector
        self._http, self._quota, self._tokens = http, quota, tokens
        self._buckets = {bucket.name: bucket for bucket in runtime.provider.buckets}
        self._circuits = circuits

    async def __call__(self, request: Request) -> Response:
        token = await self._tokens.get(self._connection.id)
        try:
            return await self._attempt(request, token)
        except Reauthorize:
            # The provider ended the token early: refresh it, unless somebody else already has.
            fresh = await self._tokens.get(self._connection.id, stale_version=token.token_version)
        try:
            return await self._attempt(request, fresh)
        except Reauthorize as error:
            # If the grant were dead, the refresh would have said so.
            name = self._runtime.provider.name
            reason = f"{name} refuses an access token that it has just issued. Trying again."
            raise RetryLater(reason, code=TOKEN_REFUSED) from error

    async def _attempt(self, request: Request, token: AccessToken) -> Response:
        windows = {name: self._window(name) for name in request.buckets}
        await self._permit(tuple(windows.values()))
        answer = await self._send(request, token)
        response = Response(status=answer.status, headers=dict(answer.headers), body=_body(answer))
        await self._learn(response)
        problem = meaning(self._connector, self._runtime.provider.name, response)
        if self._circuits.accounts and _is_answer(problem):
            self._circuits.answered(self._connection.provider, self._connection.id, problem)
        if problem is None:
            return response
        if isinstance(problem, RetryLater) and problem.limit:
            LIMITED.add(self._connection.provider)
            seconds = RATE_LIMIT_S if problem.after_s is None else problem.after_s
            reached = [name for name in windows if problem.bucket in (None, name.partition(":")[0])]
            await self._quota.close([windows[name].key for name in reached or windows], seconds)
        raise problem

    async def _send(self, request: Request, token: AccessToken) -> HttpResponse:
        name = self._runtime.provider.name
        try:
            return await self._http.request(
                request.method,
                self._runtime.api_url + request.path,
                params=list(request.params),
                headers={**request.headers, "authorization": f"Bearer {token.access_token}"},
                json=request.json,
            )
        except HttpError as error:
            if error.retriable or isinstance(error, BadBody):
                raise RetryLater(
                    f"{name} cannot be reached: {error}",
                    code=error.code,
                    too_much=isinstance(error, TooSlow),
                ) from error
            raise Reject(
                f"{name} sent a page that cannot be read: {error}",
                code=error.code,
                too_much=isinstance(error, BodyTooLarge),
            ) from error

    async def _permit(self, windows: Sequence[Window]) -> None:
        permit = await self._quota.permit(windows, self._connection.id)
        left = permit.wait_s
        if permit.granted:
            _count_wait(self._connection.provider, permit.wait_s)
            await wait(permit.wait_s)
            # While this request waited for its turn, another one may have hit a rate limit.
            left = (
                await self._quota.closed([window.key for window in windows])
                if permit.wait_s
                else 0.0
            )
        if left > 0:
            _count_wait(self._connection.provider, left)
            name = self._runtime.provider.name
            reason = f"{name}'s rate limit is reached."
            raise RetryLater(reason, code="rate_limited", after_s=left)

    async def _learn(self, response: Response) -> None:
        """Tell everyone who shares a bucket of the limit that an answer states."""
        for told in self._connector.limits(response):
            if told.requests is not None:
                key = self._window(told.name).key
                await self._quota.learn(Window(key, told.requests, told.window_s))

    def _window(self, name: str) -> Window:
        """Return the window of a bucket, under the ids of what the provider meters by it.

        A connection whose snapshot is older than these ids has its account's until it is refreshed.
        """
        bucket, account = self._buckets[name.partition(":")[0]], self._connection.account.id
        known = {"app": self._connection.client_id, **self._connection.metered}
        ids = [known.get(one, account) for one in bucket.per]
        key = ":".join([self._connection.provider, name, *ids])
        return Window(key, bucket.requests, bucket.window_s)


def _is_answer(problem: Interruption | None) -> bool:
    """Return True unless the provider, or the network in front of it, has failed."""
    return not isinstance(problem, RetryLater) or problem.limit or problem.of_account


def meaning(connector: Connector, name: str, response: Response) -> Interruption | None:
    """Return the interruption that an answer means, or None when it is a success.

    ``name`` is the provider's.
    """
    found = _meaning(connector, name, response)
    if found is not None and response.status in TOO_MUCH:
        found.too_much = True
    if isinstance(found, RetryLater) and response.status in OF_ACCOUNT:
        found.of_account = True
    return found


def _meaning(connector: Connector, name: str, response: Response) -> Interruption | None:
    """Judge an answer by where it comes from.

    APIs answer in JSON: errors that are not JSON, and redirects, come from the network in front of
    them. They say nothing about the request, so treat them as temporary. The connector's reading of
    401 and 429 still applies.
    """
    status = response.status
    if 300 <= status < 400:
        reason = f"The network in front of {name} redirects requests (status {status})."
        return RetryLater(reason, code=NOT_THE_API, after_s=retry_after(response.headers))
    found = connector.problem(response)
    if response.body is not None:
        return _passing(found, response) or found
    if found is None:
        return RetryLater(f"{name} sent a page that is not JSON.", code=MALFORMED_PAGE)
    if not isinstance(found, Reject | Restart) or status in TOO_LARGE:
        return found
    page = "a web page" if _is_html(response) else "something that is not JSON"
    reason = f"The network in front of {name} answered with {page} (status {status})"
    after_s = retry_after(response.headers)
    return RetryLater(f"{reason} instead of the API.", code=NOT_THE_API, after_s=after_s)


def _passing(found: Interruption | None, response: Response) -> RetryLater | None:
    """Return a refusal as a failure that passes, if its status or a ``Retry-After`` says so.

    What a 429 means is the connector's to say: a month's allowance is no limit that passes soon.
    """
    if not isinstance(found, Reject):
        return None
    after_s = retry_after(response.headers)
    passes = response.status in PASSING or (after_s is not None and response.status != 429)
    return RetryLater(found.reason, after_s=after_s) if passes else None


def _is_html(response: Response) -> bool:
    return "html" in response.headers.get("content-type", "").lower()


def _body(answer: HttpResponse) -> object:
    try:
        return decode_json(answer.body, answer.headers.get("content-type"))
    except MalformedBody as error:
        if answer.status < 300:
            log.info("body_not_json", status=answer.status, reason=str(error))
        return None


def _count_wait(provider: str, seconds: float) -> None:
    """Record a wait for quota. Zero seconds is not counted."""
    if seconds > 0:
        WAITS.add(provider)
        WAITED.add(provider, by=seconds)


def _away(reason: str) -> RetryLater:
    return RetryLater(reason, code=AUTH_AWAY, after_s=AWAY_S)


def _error(body: bytes) -> ErrorBody:
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        return ErrorBody(
            code=AUTH_AWAY,
            detail="The auth service sent an answer that cannot be read. Its log says more.",
        )
