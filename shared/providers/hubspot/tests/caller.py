"""The smallest client that can walk the provider through our connector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from shared.connector import Page, Request, Response
from shared.providers.hubspot.connector import CONNECTOR
from tests.support import walks
from tests.support.waiting import PATIENCE_S


class Caller:
    """A ``Call`` with a token and nothing else: no quota, no refresh.

    ``seen`` are the requests it made.
    ``before`` runs ahead of every request, for what happens at the provider in the meantime.
    ``answered`` returns what becomes of the body of an answer.
    """

    def __init__(
        self,
        url: str,
        token: str,
        before: Callable[[Request], None] | None = None,
        answered: Callable[[Request, Any], Any] = lambda _, body: body,
    ) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            verify=False,
            timeout=PATIENCE_S,
        )
        self._before = before
        self._answered = answered
        self.seen: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        if self._before:
            self._before(request)
        self.seen.append(request)
        body = None if request.json is msgspec.UNSET else request.json
        reply = await self._client.request(
            request.method, request.path, params=request.params, json=body
        )
        response = Response(
            status=reply.status_code,
            headers={name.lower(): value for name, value in reply.headers.items()},
            body=_json(reply),
        )
        interruption = CONNECTOR.problem(response)
        if interruption is not None:
            raise interruption
        return msgspec.structs.replace(response, body=self._answered(request, response.body))

    async def aclose(self) -> None:
        await self._client.aclose()


def _json(reply: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(reply.content)
    except msgspec.DecodeError:
        return None


async def walk(call: Caller, resource: str) -> list[Page]:
    return [read.page for read in await walks.walked(CONNECTOR, call, resource)]
