from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re

import httpx
import pytest

from services.gateway.tests.serving import ALLOWED, Gateway

FIELDS = [
    "id",
    "type",
    "directory",
    "parent_path_or_name",
    "parent_id",
    "name",
    "creation_time",
    "last_modified_time",
    "url",
    "children",
    "mime_type",
    "delta",
    "drive_id",
    "visibility",
]
pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = "appA"


def who(user: str) -> dict[str, str]:
    return {"user_id": user, "org_id": "demo"}


AIRTABLE = {
    "bases": [{"id": BASE, "name": "Garden"}],
    "tables": [{"id": f"{BASE}/tbl1", "name": "Trees", "parent_id": BASE}],
    "records": [
        {"id": f"{BASE}/tbl1/rec2", "name": "Yew", "parent_id": f"{BASE}/tbl1"},
        {
            "id": f"{BASE}/tbl1/rec1",
            "name": "{id} <b>Oak</b>",
            "parent_id": f"{BASE}/tbl1",
            "url": "javascript:alert(1)",
        },
    ],
}


async def test_the_original_client_connects_and_loads_in_its_own_order(api: Gateway) -> None:
    http = api.http
    multipart = {name: (None, value) for name, value in who("TestUser").items()}
    started = await http.post(
        "/integrations/airtable/authorize", files=multipart, headers={"origin": ALLOWED}
    )
    link = started.json()
    assert isinstance(link, str)
    assert link.startswith(f"{api.url}/connect/")
    page = await api.come_back(link.rpartition("/")[2], "airtable", code="one")
    assert page.text.startswith("<html><script>window.close();</script>")
    handle = (
        await http.post(
            "/integrations/airtable/credentials", files=multipart, headers={"origin": ALLOWED}
        )
    ).json()
    assert handle["connection"]
    (connection,) = [one for one in api.auth.connections.values() if one.user_id == "TestUser"]
    assert connection.id not in json.dumps(handle)
    loading = asyncio.create_task(
        http.post(
            "/integrations/airtable/load",
            data={"credentials": json.dumps(handle)},
            headers={"origin": ALLOWED},
        )
    )
    assert connection.sync_id
    await api.load(connection.sync_id, connection, AIRTABLE)
    loaded = await loading
    assert loaded.headers["access-control-allow-origin"] == ALLOWED
    rows = loaded.json()
    assert [list(row) for row in rows] == [FIELDS] * 4
    assert [
        (row["id"], row["type"], row["parent_id"], row["parent_path_or_name"]) for row in rows
    ] == [
        ("appA_Base", "Base", None, None),
        ("tbl1_Table", "Table", "appA_Base", "Garden"),
        ("rec1_Record", "Record", "tbl1_Table", "Trees"),
        ("rec2_Record", "Record", "tbl1_Table", "Trees"),
    ]
    assert rows[2]["name"] == "{id} <b>Oak</b>"
    assert [row["url"] for row in rows] == [None] * 4
    assert {(row["visibility"], row["directory"], row["children"]) for row in rows} == {
        (True, False, None)
    }


async def test_all_twelve_routes_answer_and_say_that_they_are_deprecated(api: Gateway) -> None:
    for provider in ("hubspot", "notion", "airtable"):
        for method, route in (
            ("POST", "authorize"),
            ("GET", "oauth2callback"),
            ("POST", "credentials"),
            ("POST", "load"),
        ):
            answer = await api.http.request(
                method, f"/integrations/{provider}/{route}", headers={"origin": ALLOWED}
            )
            assert answer.status_code in {400, 422}, answer.text
            assert answer.headers["deprecation"] == "@1795392000"
            assert answer.headers["link"] == '</v1>; rel="successor-version"'
            assert answer.headers["access-control-allow-origin"] == ALLOWED
            if method == "POST":
                assert isinstance(answer.json()["detail"], str)
            else:
                assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "given", [{}, {"user_id": "u"}, {"user_id": "u", "org_id": " "}, {"user_id": "", "org_id": "o"}]
)
async def test_a_missing_or_empty_field_is_named(api: Gateway, given: dict[str, str]) -> None:
    answer = await api.http.post("/integrations/notion/authorize", data=given)
    assert answer.status_code == 422
    assert "user_id" in answer.json()["detail"] or "org_id" in answer.json()["detail"]


async def test_credentials_answer_at_once_when_nothing_is_on_its_way(api: Gateway) -> None:
    answer = await api.http.post("/integrations/notion/credentials", data=who("user 4"))
    assert answer.status_code == 400
    assert isinstance(answer.json()["detail"], str)


async def test_credentials_wait_while_a_consent_is_on_its_way(api: Gateway) -> None:
    started = await api.http.post("/integrations/notion/authorize", data=who("user 5"))
    asked = asyncio.create_task(
        api.http.post("/integrations/notion/credentials", data=who("user 5"))
    )
    flow = started.json().rpartition("/")[2]
    assert (await api.come_back(flow, "notion", code="one")).status_code == 200
    assert (await asked).json()["connection"]


async def test_credentials_stop_waiting_when_the_consent_was_declined(api: Gateway) -> None:
    started = await api.http.post("/integrations/notion/authorize", data=who("user 6"))
    asked = asyncio.create_task(
        api.http.post("/integrations/notion/credentials", data=who("user 6"))
    )
    flow = started.json().rpartition("/")[2]
    assert (await api.come_back(flow, "notion", error="access_denied")).status_code == 400
    assert (await asked).status_code == 400


async def test_load_joins_what_runs_and_takes_the_last_result_if_it_is_fresh(api: Gateway) -> None:
    connection = await api.connect("notion", user="joins")
    asked = who("joins")
    both = [
        asyncio.create_task(api.http.post("/integrations/notion/load", data=asked))
        for _ in range(2)
    ]
    await api.whole(connection, {"pages": [{"id": "p1", "name": "Plan"}]})
    first, second = [(await one).json() for one in both]
    again = (await api.http.post("/integrations/notion/load", data=asked)).json()
    assert first == second == again
    assert [(row["type"], row["name"]) for row in first] == [("page", "page Plan")]
    listed = (await api.http.get("/v1/connections", params=asked)).json()["connections"]
    assert listed[0]["sync_id"] == connection.sync_id


HEAD = b'--x\r\nContent-Disposition: form-data; name="user_id"'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"garbage"),
        ("multipart/form-data; boundary=x", HEAD + b"\r\n\r\nnever ended"),
        ("multipart/form-data; boundary=x", HEAD + b"\r\n\r\n\xff\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", HEAD + b'; filename="f"\r\n\r\na file\r\n--x--\r\n'),
        ("multipart/form-data; boundary=x", (HEAD + b"\r\n\r\na\r\n") * 3_000 + b"--x--\r\n"),
        ("application/x-www-form-urlencoded", b"user_id=%ff&org_id="),
        ("application/x-www-form-urlencoded", b"\xff\xfe" * 100),
        ("application/json", b'{"user_id": "a", "org_id": "b"}'),
        ("/", b"user_id=a&org_id=b"),
    ],
)
async def test_T19_a_form_that_cannot_be_read_is_the_callers_error(
    api: Gateway, kind: str, body: bytes
) -> None:
    answer = await api.http.post(
        "/integrations/notion/authorize", content=body, headers={"content-type": kind}
    )
    assert answer.status_code in {400, 413, 422}, answer.text
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    "handle", ["", "null", "[]", "[" * 100_000, '{"connection": "AAAA"}', '{"connection": 7}']
)
async def test_a_handle_that_was_not_given_out_is_refused(api: Gateway, handle: str) -> None:
    answer = await api.http.post("/integrations/notion/load", data={"credentials": handle})
    assert answer.status_code in {400, 422}
    assert isinstance(answer.json()["detail"], str)


def digests(page: httpx.Response, element: str) -> list[str]:
    texts = re.findall(rf"<{element}>(.*?)</{element}>", page.text, re.DOTALL)
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in texts
    ]


async def test_the_policy_of_the_callback_page_allows_its_own_script_and_no_other(
    api: Gateway,
) -> None:
    flow = (
        (await api.http.post("/integrations/notion/authorize", data=who("user 9")))
        .json()
        .rpartition("/")[2]
    )
    good = await api.come_back(flow, "notion", code="one")
    bad = await api.http.get("/integrations/notion/oauth2callback?state=unknown&code=x")
    assert (good.status_code, bad.status_code) == (200, 400)
    for page in (good, bad):
        policy = page.headers["content-security-policy"]
        (scripts,) = re.findall(r"script-src ([^;]*)", policy)
        assert scripts.split() == digests(page, "script")
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "cross-origin-opener-policy" not in page.headers
    assert "window.close()" in bad.text


async def test_a_program_gets_a_typed_error_from_the_callback(api: Gateway) -> None:
    answer = await api.http.get(
        "/integrations/notion/oauth2callback?state=x", headers={"accept": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "state_invalid"


async def test_a_program_is_still_ponged_at_the_root(api: Gateway) -> None:
    answer = await api.http.get("/", headers={"accept": "application/json"})
    assert answer.json() == {"Ping": "Pong"}
