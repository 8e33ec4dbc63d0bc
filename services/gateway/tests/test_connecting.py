from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from services.gateway.tests.serving import ALLOWED, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
WHO = {"org_id": "demo", "user_id": "demo"}


async def start(api: Gateway, provider: str = "notion", **more: str) -> str:
    answer = await api.http.post("/v1/connect", json={"provider": provider, **WHO, **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["authorize_url"] == f"{api.url}/connect/{answer.json()['flow_id']}"
    return str(answer.json()["flow_id"])


async def test_a_connection_is_listed_from_the_moment_the_callback_page_is_sent(
    api: Gateway,
) -> None:
    connection = await api.connect("hubspot", user="listed")
    listed = (await api.http.get("/v1/connections", params={"user_id": "listed"})).json()[
        "connections"
    ]
    assert [one["id"] for one in listed] == [connection.id]
    assert listed[0]["sync_id"] == connection.sync_id
    assert listed[0]["account"] == {"id": "one", "name": "One"}
    sync = (await api.http.get(f"/v1/syncs/{connection.sync_id}")).json()
    assert sync["state"] == "queued"
    assert [(one["resource"], one["state"]) for one in sync["resources"]] == [
        ("companies", "queued"),
        ("contacts", "queued"),
        ("deals", "queued"),
    ]


async def test_connections_are_listed_oldest_first_and_filtered(api: Gateway) -> None:
    made = [
        await api.connect("notion", user="two", account=account) for account in ("first", "second")
    ]
    listed = (
        await api.http.get("/v1/connections", params={"user_id": "two", "provider": "notion"})
    ).json()
    assert [one["id"] for one in listed["connections"]] == [one.id for one in made]
    none = await api.http.get("/v1/connections", params={"user_id": "two", "provider": "hubspot"})
    assert none.json() == {"connections": [], "next_page_token": None}
    one = (await api.http.get(f"/v1/connections/{made[0].id}")).json()
    assert one == listed["connections"][0]


async def test_connections_are_read_page_by_page_and_a_token_belongs_to_its_filters(
    api: Gateway,
) -> None:
    made = [await api.connect("notion", user="pages", account=str(number)) for number in range(5)]
    asked: dict[str, str | int] = {"user_id": "pages", "page_size": 2}
    first = (await api.http.get("/v1/connections", params=asked)).json()
    pages, token = [first], first["next_page_token"]
    while pages[-1]["next_page_token"]:
        further = await api.http.get(
            "/v1/connections", params={**asked, "page_token": pages[-1]["next_page_token"]}
        )
        pages.append(further.json())
    assert [len(page["connections"]) for page in pages] == [2, 2, 1]
    assert [one["id"] for page in pages for one in page["connections"]] == [one.id for one in made]
    await api.http.delete(f"/v1/connections/{made[1].id}")
    further = await api.http.get("/v1/connections", params={**asked, "page_token": token})
    assert [one["id"] for one in further.json()["connections"]] == [one.id for one in made[2:4]]
    for other in ({"user_id": "two"}, {"user_id": "pages", "provider": "notion"}):
        elsewhere = await api.http.get("/v1/connections", params={**other, "page_token": token})
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "bad_token")
    for size in (0, 201):
        assert (
            await api.http.get("/v1/connections", params={"page_size": size})
        ).status_code == 400


async def test_the_status_of_a_flow_can_be_asked(api: Gateway) -> None:
    flow = await start(api)
    assert (await api.http.get(f"/v1/connect/{flow}")).json() == {"status": "pending"}
    await api.come_back(flow, "notion", error="access_denied")
    failed = (await api.http.get(f"/v1/connect/{flow}")).json()
    assert failed == {
        "status": "failed",
        "error": {"code": "access_denied", "detail": "It was declined there."},
    }
    unknown = await api.http.get("/v1/connect/0000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_the_short_link_binds_the_flow_to_the_browser_and_redirects(api: Gateway) -> None:
    flow = await start(api)
    opened = await api.http.get(f"/connect/{flow}")
    assert opened.status_code == 302
    assert urlsplit(opened.headers["location"]).hostname == "127.0.0.1"
    cookie = opened.headers["set-cookie"].split("; ")
    assert cookie[0].startswith(f"flow_{flow}=")
    assert set(cookie[1:]) == {"HttpOnly", "Max-Age=600", "Path=/", "SameSite=Lax"}
    assert "cross-origin-opener-policy" not in opened.headers
    unknown = await api.http.get("/connect/unknown", headers={"accept": "text/html"})
    assert unknown.status_code == 404
    assert unknown.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("flow", ["a%2Fb", "x" * 100, "%00", "a.b"])
async def test_a_strange_short_link_is_nothing(api: Gateway, flow: str) -> None:
    assert (await api.http.get(f"/connect/{flow}")).status_code == 404


async def test_a_return_url_receives_the_flow_and_nothing_else(api: Gateway) -> None:
    flow = await start(api, return_url=f"{ALLOWED}/after?tab=2")
    back = await api.come_back(flow, "notion", code="one")
    assert back.status_code == 303
    assert back.headers["location"] == f"{ALLOWED}/after?tab=2&flow_id={flow}"
    assert "set-cookie" not in back.headers


async def test_a_failed_consent_offers_the_way_back(api: Gateway) -> None:
    flow = await start(api, return_url="/docs?x=%3Cb%3E")
    page = await api.come_back(flow, "notion", error="access_denied")
    assert page.status_code == 400
    assert f'href="/docs?x=%3Cb%3E&amp;flow_id={flow}"' in page.text
    assert "It was declined there." in page.text


async def test_T07_open_redirect_by_return_url_is_refused_at_the_door(api: Gateway) -> None:
    for url in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/%2fevil.example",
        "",
        "/nope",
        f"{api.url}/nope",
    ):
        answer = await api.http.post(
            "/v1/connect", json={"provider": "notion", **WHO, "return_url": url}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_return_url"), url


async def test_T01_a_callback_that_was_used_is_refused_the_second_time(api: Gateway) -> None:
    flow = await start(api)
    opened = await api.http.get(f"/connect/{flow}")
    state = opened.headers["location"].partition("state=")[2]
    cookie = {"cookie": opened.headers["set-cookie"].partition(";")[0]}
    path = f"/integrations/notion/oauth2callback?state={state}&code=one"
    assert (await api.http.get(path, headers=cookie)).status_code == 200
    again = await api.http.get(path, headers={**cookie, "accept": "application/json"})
    assert (again.status_code, again.json()["code"]) == (400, "state_invalid")
    page = await api.http.get(path, headers={**cookie, "accept": "text/html"})
    assert (page.status_code, "<h1>Already connected</h1>" in page.text) == (400, True)
    api.http.cookies.clear()
    stranger = await api.http.get(path, headers={"accept": "text/html"})
    assert (stranger.status_code, "<h1>That did not work</h1>" in stranger.text) == (400, True)


async def test_a_reload_while_the_code_is_exchanged_says_that_it_takes_a_while(
    api: Gateway,
) -> None:
    flow = await start(api)
    api.auth.finishing.add(flow)
    page = await api.come_back(flow, "notion", code="one")
    assert (page.status_code, "<h1>Still connecting</h1>" in page.text) == (400, True)
    assert "set-cookie" not in page.headers
    assert (await api.http.get(f"/v1/connect/{flow}")).json() == {"status": "pending"}


async def test_the_cookie_of_a_consent_that_failed_is_dropped(api: Gateway) -> None:
    flow = await start(api)
    back = await api.come_back(flow, "notion", error="access_denied")
    assert back.headers["set-cookie"].startswith(f"flow_{flow}=; HttpOnly; Max-Age=0")


async def test_T02_a_callback_in_a_browser_without_the_flows_cookie_is_refused(
    api: Gateway,
) -> None:
    flow = await start(api)
    opened = await api.http.get(f"/connect/{flow}")
    state = opened.headers["location"].partition("state=")[2]
    path = f"/integrations/notion/oauth2callback?state={state}&code=one"
    for cookie in ("", "flow_other=x", f"flow_{flow}=guess"):
        refused = await api.http.get(path, headers={"cookie": cookie, "accept": "application/json"})
        assert (refused.status_code, refused.json()["code"]) == (400, "flow_mismatch")
    good = await api.http.get(
        path, headers={"cookie": opened.headers["set-cookie"].partition(";")[0]}
    )
    assert good.status_code == 200


async def test_T06_a_hostile_error_description_is_never_shown(api: Gateway) -> None:
    flow = await start(api)
    hostile = "<script>alert(1)</script>" + "x" * 50_000
    page = await api.come_back(flow, "notion", error="access_denied", error_description=hostile)
    assert page.status_code == 400
    assert "alert(1)" not in page.text
    assert len(page.text) < 5_000
    assert all(len(value) <= 4_096 for call in api.auth.calls for value in call.params.values())


async def test_T12_the_callback_leaves_nothing_in_urls_referrers_or_caches(api: Gateway) -> None:
    flow = await start(api, return_url="/")
    back = await api.come_back(flow, "notion", code="very-secret-code")
    assert "very-secret-code" not in str(back.headers)
    assert "state" not in back.headers["location"]
    assert back.headers["cache-control"] == "no-store"
    assert back.headers["referrer-policy"] == "no-referrer"


async def test_T38_no_page_on_the_popups_way_speaks_to_its_opener_or_cuts_it_off(
    api: Gateway,
) -> None:
    flow = await start(api)
    pages = [
        await api.http.get(f"/connect/{flow}"),
        await api.come_back(flow, "notion", code="one"),
    ]
    pages.append(await api.http.get("/integrations/notion/oauth2callback"))
    for page in pages:
        assert "postMessage" not in page.text
        assert "cross-origin-opener-policy" not in page.headers


async def test_disconnecting_takes_the_items_away_at_once_and_twice_is_the_same(
    api: Gateway,
) -> None:
    connection = await api.connect("notion", user="leaver")
    await api.whole(connection, {"pages": [{"id": "p1"}]})
    assert (await api.http.get(f"/v1/connections/{connection.id}")).json()["items"] == 1
    gone = await api.http.delete(f"/v1/connections/{connection.id}")
    assert (gone.status_code, gone.json()["status"], gone.json()["items"]) == (
        200,
        "disconnected",
        0,
    )
    assert (await api.http.get("/v1/connections", params={"user_id": "leaver"})).json()[
        "connections"
    ] == []
    assert (await api.http.get("/v1/items", params={"connection_id": connection.id})).json()[
        "items"
    ] == []
    assert (await api.http.delete(f"/v1/connections/{connection.id}")).json() == gone.json()
    refused = await api.http.post(f"/v1/connections/{connection.id}/syncs", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "disconnected")
    late = await api.publish(connection, "pages", [{"id": "p2"}], version=7)
    await api.until("/v1/items", lambda _: bool(late))
    assert (await api.http.get("/v1/items", params={"connection_id": connection.id})).json()[
        "items"
    ] == []


async def test_providers_say_what_they_hold_and_whether_they_are_simulated(api: Gateway) -> None:
    listed = (await api.http.get("/v1/providers")).json()["providers"]
    assert [one["id"] for one in listed] == ["airtable", "hubspot", "notion"]
    assert [one["resource"] for one in listed[0]["resources"]] == ["bases", "tables", "records"]
    assert all(one["simulated"] for one in listed)
    assert listed[1]["redirect_uri"] == f"{api.url}/integrations/hubspot/oauth2callback"
