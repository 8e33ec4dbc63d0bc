"""The content of ``/metrics``, who may read it, and what does not break it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.params import FromPath
from prometheus_client.core import Metric

from shared.errors import TributaryError
from shared.settings import SecretStr
from shared.telemetry import (
    Collector,
    Counter,
    RequestContextMiddleware,
    Scrape,
    bind_service,
    gauge,
)
from shared.tests.scraped import Metrics, rise
from shared.web import HostGuard, error_body, metrics, services_only
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S, turns

APPLES = Counter("test_apples", "Apples eaten.", "colour")


@get("/orchards/{name:str}")
async def orchard(name: FromPath[str]) -> str:
    return name


@asynccontextmanager
async def service(
    name: str, collectors: Mapping[str, Collector] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an app that only other services may ask, at the host name ``ours``."""
    app = Litestar(
        [orchard, metrics(lambda: collectors or {})],
        guards=[services_only(SecretStr("s" * 32))],
        exception_handlers={TributaryError: error_body},
        openapi_config=None,
        logging_config=None,
    )
    guarded: Any = RequestContextMiddleware(HostGuard(app, ["ours"]), service=name)
    async with (
        served(lambda _: guarded) as url,
        httpx.AsyncClient(base_url=url, headers={"host": "ours"}, timeout=PATIENCE_S) as http,
    ):
        yield http


async def scraped(http: httpx.AsyncClient, host: str = "ours") -> Metrics:
    answer = await http.get("/metrics", headers={"host": host})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(answer.text)


def in_service(name: str, colour: str, by: float) -> None:
    def eat() -> None:
        bind_service(name)
        APPLES.add(colour, by=by)

    contextvars.copy_context().run(eat)


async def good() -> Iterable[Metric]:
    return [gauge("test_pears", "Pears on the tree.", 3)]


async def broken() -> Iterable[Metric]:
    raise ConnectionError("the database is away")


async def test_services_of_one_process_each_show_what_they_counted_themselves() -> None:
    in_service("one", "red", 2)
    in_service("two", "green", 5)
    async with service("one") as one, service("two") as two:
        at_one, at_two = await scraped(one), await scraped(two)
    assert (
        at_one("test_apples_total", colour="red"),
        at_one.get("test_apples_total", colour="green"),
    ) == (2, None)
    assert (
        at_two.get("test_apples_total", colour="red"),
        at_two("test_apples_total", colour="green"),
    ) == (None, 5)


async def test_a_series_is_shown_before_its_first_event() -> None:
    in_service("early", "red", 0)
    async with service("early") as http:
        assert (await scraped(http))("test_apples_total") == 0


async def test_the_process_tells_its_memory_and_cpu_at_every_port() -> None:
    async with service("one") as one, service("two") as two:
        for values in (await scraped(one), await scraped(two)):
            assert values("process_resident_memory_bytes") > 1e6
            assert values("process_cpu_seconds_total") > 0


async def test_every_family_says_what_it_is_and_has_no_series_of_creation_times() -> None:
    in_service("one", "red", 1)
    async with service("one", {"good": good}) as http:
        families = (await scraped(http)).families
    assert all(family.documentation and family.type in {"counter", "gauge"} for family in families)
    assert not [family.name for family in families if family.name.endswith("_created")]


async def test_a_part_that_cannot_be_read_does_not_break_the_rest() -> None:
    async with service("one", {"good": good, "broken": broken}) as http:
        values = await scraped(http)
    assert values("test_pears") == 3
    assert values("tributary_scrape_collector_failed", collector="good") == 0
    assert values("tributary_scrape_collector_failed", collector="broken") == 1


async def test_a_part_that_hangs_is_not_waited_for_and_not_asked_twice_at_once() -> None:
    asked, free = 0, asyncio.Event()

    async def hanging() -> Iterable[Metric]:
        nonlocal asked
        asked += 1
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:  # as a driver that first wants to hear from its server
                continue
        return []

    scrape = Scrape(lambda: {"good": good, "hanging": hanging}, patience_s=0.05)
    try:
        for _ in range(2):
            values = Metrics((await scrape.text()).decode())
            assert values("test_pears") == 3
            assert values("tributary_scrape_collector_failed", collector="hanging") == 1
        assert asked == 1
    finally:
        free.set()
    await turns(2)
    values = Metrics((await scrape.text()).decode())
    assert (asked, values("tributary_scrape_collector_failed", collector="hanging")) == (2, 0)


async def test_requests_are_counted_by_route_never_by_what_a_caller_makes_up() -> None:
    async with service("one") as http:
        before = await scraped(http)
        for name in ("north", "south"):
            await http.get(f"/orchards/{name}", headers={"authorization": f"Bearer {'s' * 32}"})
        await http.get("/orchards/north")
        await http.get("/not/here")
        await http.request("BREW", "/orchards/north")
        await http.get("/orchards/north", headers={"host": "evil.example"})
        risen = rise(before, await scraped(http))
    assert (
        risen("tributary_http_requests_total", method="GET", route="/orchards/{name}", status="200")
        == 2
    )
    assert (
        risen("tributary_http_requests_total", method="GET", route="/orchards/{name}", status="401")
        == 1
    )
    assert risen("tributary_http_requests_total", route="unmatched", status="404") == 1
    assert risen("tributary_http_requests_total", route="unmatched", status="421") == 1
    assert risen("tributary_http_requests_total", method="other") == 1


@pytest.mark.parametrize(
    "host", ["10.1.2.3:8002", "[fd00::3]:8002", "fetcher:8002", "tributary-fetcher-1", "OURS"]
)
async def test_metrics_are_read_by_address_and_by_containers_name_without_the_service_secret(
    host: str,
) -> None:
    async with service("one") as http:
        await scraped(http, host)
        elsewhere = await http.get("/orchards/north", headers={"host": host})
        assert elsewhere.status_code == (401 if host == "OURS" else 421)


@pytest.mark.parametrize(
    "host", ["evil.example", "a.b", "localhost.evil.example:8002", "10.1.2.3.evil.example", ""]
)
async def test_a_public_name_that_was_rebound_reads_no_metrics(host: str) -> None:
    async with service("one") as http:
        assert (await http.get("/metrics", headers={"host": host})).status_code == 421
