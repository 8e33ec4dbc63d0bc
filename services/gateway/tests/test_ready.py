from __future__ import annotations

from pathlib import Path

from litestar import Litestar, get

from services.gateway.tests.fake_auth import FakeAuth
from services.gateway.tests.serving import SECRET, running_broker, running_gateway
from tests.support.serving import served


@get("/health/ready", status_code=503)
async def unwell() -> dict[str, str]:
    return {"status": "not ready"}


async def test_it_is_ready_only_when_all_that_it_stands_on_answers(tmp_path: Path) -> None:
    async with (
        running_broker(tmp_path) as (bootstrap, producer),
        served(lambda _: Litestar([unwell])) as neighbour,
    ):
        for number, (urls, status) in enumerate(
            [
                ((), 200),
                (("http://127.0.0.1:1/health/ready",), 503),
                ((f"{neighbour}/health/ready",), 503),
            ]
        ):
            folder = tmp_path / str(number)
            auth = FakeAuth(SECRET)
            async with running_gateway(
                folder, bootstrap, producer, auth, ready_urls=urls
            ) as gateway:
                answer = await gateway.http.get("/health/ready")
                assert answer.status_code == status
                assert set(answer.json()["waiting_for"]) == set(urls)
                assert (await gateway.http.get("/health/live")).status_code == 200


async def test_an_auth_service_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as (bootstrap, producer):
        auth = FakeAuth(SECRET)
        async with running_gateway(
            tmp_path, bootstrap, producer, auth, auth_url="http://127.0.0.1:1"
        ) as gateway:
            answer = await gateway.http.post(
                "/v1/connect", json={"provider": "notion", "org_id": "o", "user_id": "u"}
            )
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            page = await gateway.http.get("/integrations/notion/oauth2callback?state=x&code=y")
            assert page.status_code == 503
            assert page.headers["content-type"].startswith("text/html")
            assert (await gateway.http.get("/v1/connections")).status_code == 200
