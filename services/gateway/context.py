"""The context that every verb is handed, with auth's client and the signal that wakes readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from services.gateway.settings import GatewaySettings
from services.gateway.throttle import Throttle
from shared.contracts.auth import Callback, CallbackResult, ErrorBody, Flow, OpenedFlow, StartFlow
from shared.contracts.connections import Connection
from shared.crypto import Signer
from shared.db import Database
from shared.errors import Forbidden, TributaryError, Unavailable
from shared.http import HttpClient, HttpError
from shared.settings import SecretStr
from shared.telemetry import current_request_id, current_traceparent

T = TypeVar("T")
EXCHANGE_S: Final = 60.0
"""Seconds. A callback or a disconnect waits for the provider to answer."""
TOLD: Final = frozenset({400, 404, 409, 410, 502})
"""Statuses whose message is meant for the caller. Any other one is a fault between our services."""
# A change that commits between a look and the wait wakes nobody, nor does one that another process
# folds. Both are seen half a second late.
POLL_S: Final = 0.5


class AuthClient:
    """One method for each call in ``shared.contracts.auth``.

    Each raises ``TributaryError`` with auth's own code and message, or ``Unavailable`` when auth
    does not answer.
    """

    def __init__(self, http: HttpClient, *, url: str, secret: SecretStr) -> None:
        self._http, self._url, self._secret = http, url, secret

    async def start_flow(self, start: StartFlow) -> Flow:
        return await self._call("POST", "/flows", Flow, body=start)

    async def flow(self, flow_id: str) -> Flow:
        return await self._call("GET", f"/flows/{_segment(flow_id)}", Flow)

    async def open_flow(self, flow_id: str) -> OpenedFlow:
        return await self._call("POST", f"/flows/{_segment(flow_id)}/open", OpenedFlow)

    async def finish_flow(self, callback: Callback) -> CallbackResult:
        return await self._call(
            "POST", "/callback", CallbackResult, body=callback, timeout_s=EXCHANGE_S
        )

    async def disconnect(self, connection_id: str) -> Connection:
        path = f"/connections/{_segment(connection_id)}"
        return await self._call("DELETE", path, Connection, timeout_s=EXCHANGE_S)

    async def _call(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        body: msgspec.Struct | None = None,
        timeout_s: float = 15.0,
    ) -> T:
        headers = {
            "authorization": f"Bearer {self._secret.reveal()}",
            "x-request-id": current_request_id() or "gateway",
            "traceparent": current_traceparent(),
        }
        sent = msgspec.UNSET if body is None else msgspec.to_builtins(body)
        try:
            answer = await self._http.request(
                method, self._url + path, headers=headers, json=sent, timeout_s=timeout_s
            )
        except HttpError as error:
            raise Unavailable("The auth service does not answer. Try again in a moment.") from error
        try:
            if answer.status < 300:
                return msgspec.json.decode(answer.body, type=shape)
            problem = msgspec.json.decode(answer.body, type=ErrorBody)
        except msgspec.DecodeError:
            raise Unavailable(
                "The auth service gave an unexpected answer. Try again in a moment."
            ) from None
        if answer.status not in TOLD:
            raise Unavailable("The auth service cannot do this right now. Try again in a moment.")
        raise TributaryError(problem.detail, code=problem.code, status=answer.status)


def _segment(text: str) -> str:
    """Quote dots as well: a client library may resolve ``..``, which would call another path."""
    return quote(text, safe="").replace(".", "%2E")


class Watch:
    """A signal that wakes every waiter. A waiter that misses it wakes by itself after a moment."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def changed(self) -> None:
        for waiter in self._waiters:
            # A waiter that has timed out is done, and stays in the set until its task runs again.
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, seconds: float = POLL_S) -> None:
        """Return at the next change, or after ``seconds``."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await waiter
        self._waiters.discard(waiter)


@dataclass(frozen=True, kw_only=True)
class GatewayContext:
    """Everything the verbs work with, open while the gateway runs.

    ``log_ids`` holds the identity of each topic's log; positions are stored for one log. ``served``
    says whether a path of ours, without its query, is a page that a browser can be sent to. ``org``
    is the only organisation whose rows can be seen and changed; None means all of them.
    """

    settings: GatewaySettings
    database: Database
    auth: AuthClient
    watch: Watch
    log_ids: Mapping[str, str]
    page_tokens: Signer
    handles: Signer
    served: Callable[[str], bool]
    throttle: Throttle = field(default_factory=Throttle)
    org: str | None = None

    def check_org(self, org_id: str) -> None:
        """Raise ``Forbidden`` when a request names another organisation than the caller's."""
        if not self.sees(org_id):
            raise Forbidden(
                "This key belongs to a different organisation than org_id.", code="foreign_org"
            )

    def sees(self, org_id: str | None) -> bool:
        """Return True if a filter by ``org_id`` can match anything; None does not filter."""
        return self.org is None or org_id in {None, self.org}


InjectedContext = NamedDependency[SkipValidation[GatewayContext]]
"""The type by which a handler asks for the context.

Validation is skipped: it would cost more than many a request.
"""
