"""One call to a provider, as a connection: quota, token, deadline, and what the answer means."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from services.fetcher.settings import Runtime
from services.fetcher.tokens import Tokens
from shared.connector import Bucket, Connector, Reauthorize, Reject, Request, Response, RetryLater
from shared.contracts.auth import AccessToken
from shared.contracts.connections import Connection
from shared.http import HttpClient, HttpError, HttpResponse, MalformedBody, decode_json
from shared.quota import Quota, Window, wait

RATE_LIMIT_S = 10.0
"""The wait after a rate limit whose answer says none."""

log = structlog.get_logger()


class ProviderCall:
    """Calls in the name of one connection; satisfies ``shared.connector.Call``."""

    def __init__(
        self,
        connection: Connection,
        runtime: Runtime,
        connector: Connector,
        *,
        http: HttpClient,
        quota: Quota,
        tokens: Tokens,
    ) -> None:
        self._connection, self._runtime, self._connector = connection, runtime, connector
        self._http, self._quota, self._tokens = http, quota, tokens

    async def __call__(self, request: Request) -> Response:
        token = await self._tokens.get(self._connection.id)
        try:
            return await self._attempt(request, token)
        except Reauthorize:
            # The provider ended the token early: one forced refresh, unless someone else has refreshed meanwhile.
            fresh = await self._tokens.get(self._connection.id, not_epoch=token.epoch)
            return await self._attempt(request, fresh)

    async def _attempt(self, request: Request, token: AccessToken) -> Response:
        windows = self._windows(request.buckets)
        await self._permit(windows)
        answer = await self._send(request, token)
        response = Response(status=answer.status, headers=dict(answer.headers), body=_body(answer))
        problem = self._connector.problem(response)
        if problem is None:
            if response.body is None and answer.body:
                raise RetryLater("The provider answered with something that is not JSON.", code="malformed_page")
            return response
        if isinstance(problem, RetryLater) and problem.limit:
            seconds = RATE_LIMIT_S if problem.after_s is None else problem.after_s
            await self._quota.close([window.key for window in windows], seconds)
        raise problem

    async def _send(self, request: Request, token: AccessToken) -> HttpResponse:
        try:
            return await self._http.request(
                request.method,
                self._runtime.api_url + request.path,
                params=list(request.params),
                headers={**request.headers, "authorization": f"Bearer {token.access_token}"},
                json=request.json,
            )
        except HttpError as error:
            if error.retriable:
                raise RetryLater(
                    f"{self._runtime.provider.name} cannot be reached: {error}", code=error.code
                ) from error
            raise Reject(
                f"{self._runtime.provider.name} sent a page that cannot be read: {error}", code=error.code
            ) from error

    async def _permit(self, windows: Sequence[Window]) -> None:
        permit = await self._quota.permit(windows)
        if not permit.granted:
            reason = f"{self._runtime.provider.name}'s rate limit is used up; going on when it allows more."
            raise RetryLater(reason, code="rate_limited", after_s=permit.wait_s)
        await wait(permit.wait_s)

    def _windows(self, names: Sequence[str]) -> list[Window]:
        buckets: dict[str, Bucket] = {bucket.name: bucket for bucket in self._runtime.provider.buckets}
        owner = f"{self._connection.provider}:{self._connection.client_id}:{self._connection.account.id}"
        return [
            Window(
                f"{owner}:{name}", buckets[name.partition(":")[0]].requests, buckets[name.partition(":")[0]].window_s
            )
            for name in names
        ]


def _body(answer: HttpResponse) -> object:
    try:
        return decode_json(answer.body, answer.headers.get("content-type"))
    except MalformedBody as error:
        log.info("body_not_json", status=answer.status, why=str(error))
        return None
