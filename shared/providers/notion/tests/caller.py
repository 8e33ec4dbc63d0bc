"""Call Notion as the fetcher would."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec

from deploy.sandbox.providers.notion.tests.serving import Fault, Session, connected
from deploy.sandbox.world import World
from shared.connector import Page, Request, Response
from shared.providers.notion.connector import CONNECTOR
from tests.support import walks


class Caller:
    """Send with the tokens of a connected app; ``sent`` holds the requests."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.sent: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        """Send as the fetcher does: add the token, raise what the connector makes of an error."""
        self.sent.append(request)
        body = {} if request.json is msgspec.UNSET else {"json": request.json}
        token = {"Authorization": self._session.bearer["Authorization"]}
        answer = await self._session.http.request(
            request.method,
            request.path,
            params=httpx.QueryParams(request.params),
            headers={**request.headers, **token},
            **body,
        )
        decoded = answer.json() if "json" in answer.headers.get("content-type", "") else None
        response = Response(status=answer.status_code, headers=dict(answer.headers), body=decoded)
        problem = CONNECTOR.problem(response)
        if problem is not None:
            raise problem
        return response

    async def pages(self, resource: str) -> list[Page]:
        """Walk a resource to its end."""
        return [read.page for read in await walks.walked(CONNECTOR, self, resource)]


@asynccontextmanager
async def calling(
    world: World, account: str = "", fault: Fault | None = None
) -> AsyncIterator[Caller]:
    async with connected(world, account, fault) as session:
        yield Caller(session)
