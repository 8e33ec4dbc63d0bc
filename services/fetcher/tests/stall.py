"""Serve a provider and an auth service over HTTP, and build a worker that calls them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
from fakeredis import FakeServer
from fakeredis.aioredis import FakeRedis

from services.fetcher.call import Tokens
from services.fetcher.settings import FetcherSettings
from services.fetcher.tests.crashing import Fetcher
from shared.connector import (
    Bucket,
    Call,
    Interruption,
    Lookup,
    Page,
    Part,
    PartSchema,
    Place,
    Reauthorize,
    Record,
    Reject,
    Request,
    Response,
    Restart,
    RetryLater,
    Uncounted,
    retry_after,
)
from shared.contracts.auth import AccessToken, ErrorBody
from shared.http import HttpClient
from shared.quota import Quota
from shared.settings import Cluster, SecretStr

Answer = Callable[[httpx.Request], httpx.Response | None]
PAGE = 2


class StallConnector(Uncounted):
    """Read ``/{resource}?from=n``; satisfies Connector."""

    def parts(self, resource: str) -> tuple[Part, ...]:
        return (Part(id=resource, name=f"the {resource}"),)

    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:
        return {}

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        params = (("from", str(place.cursor["from"] if place.cursor else 0)),)
        body = (
            await call(Request(method="GET", path=f"/{resource}", params=params, buckets=("all",)))
        ).body
        records = [Record(id=row["id"], name=row["id"], raw=row) for row in body["rows"]]
        return Page(records=records, cursor={"from": body["next"]} if body["next"] else None)

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        return Lookup()

    def problem(self, response: Response) -> Interruption | None:
        match response.status:
            case 401:
                return Reauthorize("Orchard no longer accepts the access token.")
            case 403:
                return Reject(
                    "Orchard wants another scope.",
                    code="missing_scope",
                    scope=(response.body or {}).get("scope"),
                )
            case 410:
                return Restart("Orchard's cursor has expired.")
            case 429:
                wait = retry_after(response.headers)
                return RetryLater(
                    "Orchard's limit is reached.", code="rate_limited", after_s=wait, limit=True
                )
            case status if status >= 500:
                return RetryLater(f"Orchard is not available (status {status}).")
        return None

    def limits(self, response: Response) -> tuple[Bucket, ...]:
        told = response.headers.get("x-limit")
        return (Bucket(name="all", requests=int(told), window_s=10),) if told else ()


class Stall:
    """A provider with four rows per resource, and ``faults`` that may answer instead."""

    def __init__(self) -> None:
        self.token = "token-1"
        self.limit: int | None = None
        self.faults: list[Answer] = []
        self.asked: list[tuple[float, str, int]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        fault = next(
            (answer for fault in self.faults if (answer := fault(request)) is not None), None
        )
        wrong = request.headers["authorization"] != f"Bearer {self.token}"
        answer = fault or (httpx.Response(401, json={}) if wrong else self._page(request))
        self.asked.append((time.monotonic(), str(request.url), answer.status_code))
        return answer

    def _page(self, request: httpx.Request) -> httpx.Response:
        resource, start = request.url.path.strip("/"), int(request.url.params["from"])
        rows = [{"id": f"{resource}-{n}"} for n in range(start, start + PAGE)]
        headers = {} if self.limit is None else {"x-limit": str(self.limit)}
        return httpx.Response(
            200, json={"rows": rows, "next": start + PAGE if start == 0 else None}, headers=headers
        )


class Auth:
    """An auth service: it gives a newer token when told that the current one was refused."""

    def __init__(self, stall: Stall) -> None:
        self._stall = stall
        self.refused: ErrorBody | None = None
        self.version = 1
        self.asked: list[int | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        stale_version = msgspec.json.decode(request.content)["stale_version"]
        self.asked.append(stale_version)
        if self.refused:
            return httpx.Response(409, content=msgspec.json.encode(self.refused))
        if stale_version == self.version:
            self.version += 1
            self._stall.token = f"token-{self.version}"
        token = AccessToken(
            access_token=f"token-{self.version}", token_version=self.version, expires_in_s=3600
        )
        return httpx.Response(200, content=msgspec.json.encode(token))


class Market:
    """A fetcher that loads from a ``Stall``."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.stall = Stall()
        self.auth = Auth(self.stall)
        self.redis = FakeRedis(server=FakeServer())
        settings = FetcherSettings(
            database=folder / "unused.db",
            kafka=Cluster(bootstrap=""),
            auth_url="http://auth",
            service_secret=SecretStr("service"),
            providers={},
        )
        context: dict[str, Any] = {
            "connectors": {"orchard": StallConnector()},
            "http": {
                "orchard": HttpClient(transport=httpx.MockTransport(self.stall), body_cap=1 << 20)
            },
            "tokens": Tokens(HttpClient(transport=httpx.MockTransport(self.auth)), settings),
            "quota": Quota(self.redis),
        }
        self.fetcher = Fetcher(folder, {"apples": 0, "pears": 0}, **context, **changes)

    async def open(self) -> None:
        await self.fetcher.boot()
        runtimes = self.fetcher.context.runtimes
        orchard = msgspec.structs.replace(runtimes["orchard"], api_url="http://orchard")
        object.__setattr__(self.fetcher.context, "runtimes", {"orchard": orchard})

    async def close(self) -> None:
        await self.fetcher.database.close()
        await self.redis.aclose()
