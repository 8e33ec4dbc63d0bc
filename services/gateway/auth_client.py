"""The auth service, as the gateway calls it."""

from __future__ import annotations

from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from shared.contracts.auth import Callback, CallbackResult, ErrorBody, Flow, OpenedFlow, StartFlow
from shared.contracts.connections import Connection
from shared.errors import TributaryError, Unavailable
from shared.http import HttpClient, HttpError
from shared.settings import SecretStr
from shared.telemetry import current_request_id, current_traceparent

T = TypeVar("T")
EXCHANGE_S: Final = 60.0
"""Seconds. A callback or a disconnect waits for the provider to answer."""
TOLD: Final = frozenset({400, 404, 409, 410, 502})
"""Statuses whose message is meant for the caller. Any other one is a fault between our services."""


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
