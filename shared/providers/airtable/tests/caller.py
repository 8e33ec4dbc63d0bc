"""Call Airtable as a connection would, or answer from a script."""

from collections.abc import Mapping, Sequence

import httpx
import msgspec

from shared.connector import Connector, Interruption, Page, Request, Response
from shared.providers.airtable.connector import CONNECTOR
from tests.support import walks
from tests.support.waiting import PATIENCE_S


class RealCall:
    """Send over HTTP with the token, and raise what the connector makes of an error."""

    def __init__(self, url: str, token: str, connector: Connector = CONNECTOR) -> None:
        self._http = httpx.AsyncClient(
            verify=False,
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_S,
        )
        self._connector = connector
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        params = httpx.QueryParams(request.params)
        answer = await self._http.request(
            request.method, request.path, params=params, headers=request.headers
        )
        response = read(answer)
        interruption = self._connector.problem(response)
        if interruption is not None:
            raise interruption
        return response

    async def aclose(self) -> None:
        await self._http.aclose()


def read(answer: httpx.Response) -> Response:
    is_json = answer.headers.get("content-type", "").startswith("application/json")
    body = msgspec.json.decode(answer.content) if is_json else None
    return Response(status=answer.status_code, headers=dict(answer.headers), body=body)


class ScriptedCall:
    """Give the scripted answers of a path one after the other; the last one stays."""

    def __init__(self, answers: Mapping[str, Sequence[object]]) -> None:
        self._answers = {path: list(several) for path, several in answers.items()}
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        several = self._answers[request.path]
        answer = several.pop(0) if len(several) > 1 else several[0]
        if isinstance(answer, Interruption):
            raise answer
        return Response(status=200, headers={}, body=answer)


async def walk(call: RealCall | ScriptedCall, resource: str) -> list[Page]:
    """Return every page of a resource."""
    return [read.page for read in await walks.walked(CONNECTOR, call, resource)]
