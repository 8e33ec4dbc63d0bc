"""The console's pages, as a browser without JavaScript gets them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.console.tests.rows import add_connection, add_items, add_sync, connection
from services.gateway.context import GatewayContext
from shared.contracts.connections import Account
from shared.contracts.envelope import timestamp

NASTY = {
    "1": "<img src=x onerror=alert(1)>",
    "2": "invoice\u202egnp.exe",
    "3": '" data-query="?" hx-get="/v1/connections" x="',
    "4": "{{ 7 * 7 }}</script><script>alert(2)</script>",
}
DONE = {"state": "done", "items": 3, "pages": 1, "ended_at": timestamp()}


async def nasty_account(context: GatewayContext) -> None:
    made = connection("c1", "hubspot", account=Account(id="1", name="<b>Bold & Sons</b>"))
    await add_connection(context, made)
    rows = {id_: {"name": name, "url": "javascript:alert(3)"} for id_, name in NASTY.items()}
    raw = '{"x": "</pre><img src=x onerror=alert(4)>", "y": "\u202etxt"}'
    rows["1"]["raw"] = raw.encode()  # type: ignore[assignment]
    await add_items(context, made, "companies", rows)
    failed = {"code": "x", "detail": "<i>Refused</i>", "scope": "<u>scope</u>"}
    await add_sync(
        context, made, {"deals": {"state": "failed", "ended_at": timestamp(), "error": failed}}
    )


async def text(http: httpx.AsyncClient, path: str) -> str:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_before_anything_is_connected_the_page_offers_every_provider(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    page = await text(http, "/")
    assert page.count("Not connected") == len(context.settings.providers) == page.count("Simulated")
    for slug, configured in context.settings.providers.items():
        assert f'name="provider" value="{slug}">Connect {configured.provider.name}</button>' in page
        assert configured.provider.consent_note in page
    assert "Nothing has flowed in yet" in page


@pytest.mark.parametrize(
    "path", ["/", "/console/items", "/console/cards", "/console/items/c1/companies/1"]
)
async def test_T13_T14_names_are_text_and_bring_no_markup(
    http: httpx.AsyncClient, context: GatewayContext, path: str
) -> None:
    await nasty_account(context)
    page = await text(http, path)
    for evil in ("<img", "<b>", "<i>", "<u>", "<script>", "javascript:", 'hx-get="', "49"):
        assert evil not in page
    assert re.findall(r"<[^>]*\son\w+\s*=", page) == []


async def test_T13_names_cannot_turn_the_direction_of_the_page(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await nasty_account(context)
    assert "<bdi>invoice\u202egnp.exe</bdi>" in await text(http, "/console/items")
    raw = await text(http, "/console/items/c1/companies/1")
    assert "\u202e" not in raw
    assert "\\u202etxt" in raw


async def test_T13_only_web_addresses_become_links(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    urls = [
        "https://a.example/1",
        "http://a.example/2",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "//a.example",
        "https:",
    ]
    await add_items(
        context, made, "companies", {str(n): {"url": url} for n, url in enumerate(urls)}
    )
    page = await text(http, "/console/items")
    assert (
        re.findall(
            r'<td class="out"><a href="([^"]*)" target="_blank" rel="noopener noreferrer"', page
        )
        == urls[:2]
    )


@pytest.mark.parametrize(
    "path", ["/", "/console/items/c1/companies/1", "/console/connections/c1/disconnect"]
)
async def test_T37_pages_allow_no_frame_no_inline_code_and_no_other_host(
    http: httpx.AsyncClient, context: GatewayContext, path: str
) -> None:
    await nasty_account(context)
    answer = await http.get(path)
    policy = answer.headers["content-security-policy"].split("; ")
    assert {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
    } <= set(policy)
    assert {"base-uri 'none'", "connect-src 'self'", "form-action 'self'"} <= set(policy)
    assert answer.headers["x-frame-options"] == "DENY"
    assert "cross-origin-opener-policy" not in answer.headers
    assert (
        re.findall(
            r"<script(?![^>]*\bsrc=)|<style|<[^>]*\s(?:style|on\w+)\s*=|https?://(?!localhost)",
            answer.text,
        )
        == []
    )


async def test_a_load_shows_counts_and_what_it_waits_for(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    waiting = {
        "waiting_reason": "The provider asked us to slow down.",
        "waiting_until": "2026-11-23T12:03:08.000Z",
    }
    jobs = {
        "companies": {"state": "running", "items": 1840, "expected": 3000},
        "contacts": {"state": "waiting", "items": 100, **waiting},
    }
    sync = await add_sync(context, made, jobs)
    page = await text(http, "/console/cards")
    assert f'data-stream="{sync}"' in page
    assert 'max="3000" value="1840"' in page
    assert "1,840 of 3,000" in page
    assert "The provider asked us to slow down. Waiting until <time" in page
    assert "12:03:08 UTC" in page
    assert re.search(r'aria-label="HubSpot, Contacts"></progress>', page), (
        "an unknown total is no percentage"
    )
    assert "Queued" in page


async def test_a_total_that_proved_too_small_is_not_shown(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    await add_sync(context, made, {"companies": {"state": "running", "items": 12, "expected": 10}})
    page = await text(http, "/console/cards")
    assert "12 of 10" not in page
    assert 'max="10"' not in page


async def test_a_load_that_ended_shows_the_counts_of_the_read_model(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    await add_items(context, made, "companies", {"1": {}, "2": {}, "3": {"deleted": True}})
    await add_sync(context, made, {"companies": DONE, "contacts": DONE, "deals": DONE})
    page = await text(http, "/console/cards")
    assert "<strong>2</strong> <span>items</span>" in page
    assert '<span class="count">2</span>' in page
    assert "data-stream" not in page
    assert "Last synced <time" in page


REASON = "HubSpot’s count could not be had: it is away."
COMPLETENESS: dict[str, dict[str, Any]] = {
    "Complete by HubSpot’s own count.": {"expected": 3, "receipt": {"reconciled": True}},
    "Every page was read. HubSpot gives no count to compare it with.": {},
    f"<bdi>{REASON}</bdi> Every page was read, but something may be missing.": {
        "receipt": {"reconciled": False, "unreconciled_reason": REASON}
    },
}


@pytest.mark.parametrize("said", COMPLETENESS)
async def test_a_complete_sync_says_whether_the_provider_has_counted_the_same(
    http: httpx.AsyncClient, context: GatewayContext, said: str
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    job = {**DONE, **COMPLETENESS[said]}
    await add_sync(context, made, {"companies": job, "contacts": job, "deals": job})
    page = await text(http, "/console/cards")
    assert [one for one in COMPLETENESS if one in page] == [said]


@pytest.mark.parametrize(
    ("truncated", "said"),
    [(1, "ended, 1 item lacked part"), (1200, "ended, 1,200 items lacked part"), (0, None)],
)
async def test_items_that_are_not_complete_yet_are_counted(
    http: httpx.AsyncClient, context: GatewayContext, truncated: int, said: str | None
) -> None:
    made = connection("c1", "notion")
    await add_connection(context, made)
    job = {**DONE, "receipt": {"truncated": truncated}}
    await add_sync(context, made, {"pages": job, "data_sources": DONE, "users": DONE})
    page = await text(http, "/console/cards")
    assert ("cuts short" in page) == bool(said)
    assert said is None or said in page


async def test_a_missing_permission_is_named_and_leads_to_reconnecting(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    error = {
        "code": "missing_scope",
        "detail": "It may not be listed.",
        "scope": "crm.objects.deals.read",
    }
    failed = {"state": "failed", "ended_at": timestamp(), "error": error}
    await add_sync(context, made, {"companies": DONE, "contacts": DONE, "deals": failed})
    page = await text(http, "/console/cards")
    assert "Partly synced" in page
    assert (
        "It may not be listed.</bdi> Missing permission: <code>crm.objects.deals.read</code>"
        in page
    )
    assert "Reconnect<span" in page


@pytest.mark.parametrize(
    ("others", "offered"), [("fresh_token_refused", True), ("rate_limited", False)]
)
async def test_while_every_call_is_refused_for_its_token_reconnecting_is_offered(
    http: httpx.AsyncClient, context: GatewayContext, others: str, offered: bool
) -> None:
    made = connection("c1", "hubspot")
    await add_connection(context, made)
    waits = {"state": "waiting", "waiting_until": "2099-01-01T00:00:00.000Z"}
    refused = {**waits, "waiting_code": "fresh_token_refused"}
    deals = {**waits, "waiting_code": others}
    jobs: Mapping[str, Mapping[str, object]] = {
        "companies": DONE,
        "contacts": refused,
        "deals": deals,
    }
    await add_sync(context, made, jobs)
    assert ("Reconnect<span" in await text(http, "/console/cards")) == offered


async def test_every_part_that_was_not_read_is_named_where_the_error_cannot(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "airtable")
    await add_connection(context, made)
    named = []
    for number in range(5):
        name = f"table “T{number}”"
        words = {"code": "forbidden", "detail": "It was refused.", "remedy": "Share <it>."}
        named.append({"part": f"app/t{number}", "name": name, "outcome": "failed", **words})
    receipt = {"parts": {"total": 9, "by_outcome": {"done": 2, "failed": 7}, "named": named}}
    error = {"code": "forbidden", "detail": "7 of 9 parts could not be read whole."}
    partly = {"state": "incomplete", "ended_at": timestamp(), "error": error, "receipt": receipt}
    await add_sync(context, made, {"bases": DONE, "tables": DONE, "records": partly})
    page = await text(http, "/console/cards")
    assert "<summary>Everything that could not be read completely</summary>" in page
    assert page.count("It was refused.") == 5
    assert "<bdi>table “T4”</bdi>: <bdi>It was refused.</bdi> <bdi>Share &lt;it&gt;.</bdi>" in page
    assert "And 2 more." in page


async def test_deletions_that_are_held_can_be_confirmed_and_unread_parts_removed(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "airtable")
    await add_connection(context, made)
    unread = {
        "part": "app/t<1>",
        "name": "table “T1”",
        "outcome": "failed",
        "code": "forbidden",
        "detail": "It was refused.",
        "remedy": "Share it.",
    }
    receipt = {
        "parts": {"total": 2, "by_outcome": {"done": 1, "failed": 1}, "named": [unread]},
        "unconfirmed": 120,
        "held": [{"part": "app/t2", "name": "table “T2”", "items": 120}],
    }
    error = {"code": "forbidden", "detail": "1 of 2 parts could not be read whole."}
    partly = {"state": "incomplete", "ended_at": timestamp(), "error": error, "receipt": receipt}
    await add_sync(context, made, {"bases": DONE, "tables": DONE, "records": partly})
    page = await text(http, "/console/cards")
    assert "<bdi>table “T2”</bdi>: 120 items can no longer be found." in page
    assert "Delete them now" in page
    assert 'name="part" value="app/t&lt;1&gt;"' in page
    origin = {"origin": "http://localhost:8000"}
    for order, part in (("confirm", "app/t2"), ("remove", "app/t<1>")):
        form = {"order": order, "resource": "records", "part": part}
        done = await http.post("/console/connections/c1/parts", data=form, headers=origin)
        assert (done.status_code, done.headers["location"]) == (303, "/#card-airtable")
    form = {"order": "remove", "resource": "records", "part": "app/t2"}
    refused = await http.post("/console/connections/c1/parts", data=form, headers=origin)
    assert refused.status_code == 404
    assert "Nothing was deleted." in refused.text


async def test_what_waits_can_be_tried_now_unless_its_provider_asked_for_the_wait(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "airtable")
    await add_connection(context, made)
    bounds = {"waiting_reason": "Away.", "waiting_until": "2099-01-01T00:00:00.000Z"}
    asked = {"state": "waiting", **bounds, "asked_to_wait_until": bounds["waiting_until"]}
    await add_sync(context, made, {"bases": DONE, "tables": asked, "records": asked})
    assert "Try now" not in await text(http, "/console/cards")
    origin = {"origin": "http://localhost:8000"}
    refused = await http.post("/console/connections/c1/retry", headers=origin)
    assert refused.status_code == 409
    assert "It could not be tried now.</strong> The provider has asked" in refused.text
    other = connection("c2", "notion")
    await add_connection(context, other)
    ours = {"state": "waiting", **bounds}
    await add_sync(context, other, {"pages": asked, "data_sources": DONE, "users": ours})
    assert (await text(http, "/console/cards")).count("Try now") == 1
    done = await http.post("/console/connections/c2/retry", headers=origin)
    assert (done.status_code, done.headers["location"]) == (303, "/#card-notion")


async def test_a_dead_grant_is_reconnected_not_synced(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    await add_connection(
        context,
        connection("c1", "notion", status="reauth_required", reason="The grant was revoked."),
    )
    page = await text(http, "/console/cards")
    assert "Reconnect needed" in page
    assert "The grant was revoked." in page
    assert "/console/connections/c1/sync" not in page


async def test_the_question_before_a_disconnect_says_what_is_deleted(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "notion")
    await add_connection(context, made)
    await add_items(context, made, "pages", {"1": {}, "2": {}})
    page = await text(http, "/console/connections/c1/disconnect")
    assert "deletes its 2 items here" in page
    assert 'method="post" action="/console/connections/c1/disconnect"' in page


@pytest.mark.parametrize(
    "change", [{"status": "disconnected"}, {"org_id": "other"}, {"user_id": "other"}]
)
@pytest.mark.parametrize(
    "path", ["/console/items/c1/pages/1", "/console/connections/c1/disconnect"]
)
async def test_what_is_not_the_consoles_own_is_not_found(
    http: httpx.AsyncClient, context: GatewayContext, change: dict[str, str], path: str
) -> None:
    made = connection("c1", "notion", **change)
    await add_connection(context, made)
    await add_items(context, made, "pages", {"1": {}})
    answer = await http.get(path)
    assert answer.status_code == 404
    assert "Back to the console" in answer.text


async def test_an_id_with_slashes_has_a_page(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "airtable")
    await add_connection(context, made)
    await add_items(context, made, "records", {"app1/tbl1/rec1": {"name": "Deep"}})
    assert 'href="/console/items/c1/records/app1/tbl1/rec1"' in await text(http, "/console/items")
    assert "Deep" in await text(http, "/console/items/c1/records/app1/tbl1/rec1")


async def test_an_item_that_the_provider_truncated_says_which_fields_are_incomplete(
    http: httpx.AsyncClient, context: GatewayContext
) -> None:
    made = connection("c1", "notion")
    await add_connection(context, made)
    cut = {"truncated": b'["title","p:xQ"]'}
    await add_items(context, made, "pages", {"cut": cut, "whole": {}})
    assert "Incomplete: Notion gave only the beginning of title, p:xQ." in re.sub(
        "<[^>]*>", "", await text(http, "/console/items/c1/pages/cut")
    )
    assert "Incomplete" not in await text(http, "/console/items/c1/pages/whole")


async def test_the_chosen_colours_are_there_before_the_first_paint(http: httpx.AsyncClient) -> None:
    origin = {"origin": "http://localhost:8000"}
    assert "data-theme" not in await text(http, "/")
    assert (
        await http.post("/console/theme", data={"theme": "dark"}, headers=origin)
    ).status_code == 303
    assert '<html lang="en" data-theme="dark">' in await text(http, "/")
    await http.post("/console/theme", data={"theme": '"><script>'}, headers=origin)
    assert "data-theme" not in await text(http, "/")


async def test_another_loopback_name_leads_to_the_public_address(http: httpx.AsyncClient) -> None:
    answer = await http.get("/?q=a%20b", headers={"host": "127.0.0.1:8000"})
    assert (answer.status_code, answer.headers["location"]) == (
        302,
        "http://localhost:8000/?q=a%20b",
    )


async def test_files_are_asked_for_again_but_sent_once(http: httpx.AsyncClient) -> None:
    first = await http.get("/console/static/console.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = await http.get(
        "/console/static/console.js", headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert (await http.get("/console/static/..%2fpages.py")).status_code == 404


FORGED = [
    {},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:8001"},
    {"origin": "http://localhost:8000", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", FORGED)
@pytest.mark.parametrize(
    "path",
    [
        "connect",
        "connections/c1/sync",
        "connections/c1/disconnect",
        "connections/c1/parts",
        "connections/c1/retry",
        "theme",
    ],
)
async def test_a_form_of_another_site_does_nothing(
    http: httpx.AsyncClient, headers: dict[str, str], path: str
) -> None:
    answer = await http.post(
        f"/console/{path}", data={"provider": "notion", "theme": "dark"}, headers=headers
    )
    assert answer.status_code == 403


async def test_connecting_says_when_it_cannot_begin(http: httpx.AsyncClient) -> None:
    own = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    away = await http.post("/console/connect", data={"provider": "notion"}, headers=own)
    assert away.status_code == 503
    assert "The connection was not started.</strong> The auth service does not answer." in away.text
    unknown = await http.post("/console/connect", data={"provider": "nobody"}, headers=own)
    assert unknown.status_code == 400


def test_the_script_and_the_style_stay_small() -> None:
    static = Path(__file__).parents[1] / "static"
    assert len((static / "console.js").read_text("utf-8").splitlines()) < 400
    assert len((static / "console.css").read_text("utf-8").splitlines()) < 500
