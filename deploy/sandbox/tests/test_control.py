import asyncio
from typing import Any

import httpx
import pytest

from tests.support.waiting import PATIENCE_S, until

CONTROL = "/_sandbox/plums"


async def token(sandbox: httpx.AsyncClient, account: str = "acc-1") -> dict[str, str]:
    form = {"decision": "allow", "account": account}
    allowed = await sandbox.post("/plums/oauth/authorize?state=s", data=form)
    code = httpx.URL(allowed.headers["location"]).params["code"]
    answer = await sandbox.post(f"/plums/oauth/token?code={code}")
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def log(sandbox: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await sandbox.get(f"{CONTROL}/requests")).json()["items"]
    return items


async def ledger(sandbox: httpx.AsyncClient, account: str, resource: str) -> list[dict[str, Any]]:
    answer = await sandbox.get(
        f"{CONTROL}/accounts/{account}/ledger", params={"resource": resource}
    )
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_a_new_account_is_served_by_the_provider_and_listed_by_the_ledger(
    sandbox: httpx.AsyncClient,
) -> None:
    made = await sandbox.post(
        f"{CONTROL}/accounts", json={"name": "Big", "seed": 7, "counts": {"plums": 3}}
    )
    account = made.json()["account_id"]
    served = (await sandbox.get("/plums/v1/plums", headers=await token(sandbox, account))).json()[
        "plums"
    ]
    assert served == [item["id"] for item in await ledger(sandbox, account, "plums")]
    assert len(served) == 3
    listed = (await sandbox.get(f"{CONTROL}/accounts")).json()["items"]
    assert [one["name"] for one in listed] == ["Orchard", "Big"]


async def test_a_mutation_answers_what_it_touched_and_is_seen_at_once(
    sandbox: httpx.AsyncClient,
) -> None:
    change = {"resource": "plums", "create": 1, "update": ["plums-1-4"], "archive": 2}
    touched = (await sandbox.post(f"{CONTROL}/accounts/acc-1/mutate", json=change)).json()
    assert touched == {
        "created": ["plums-1-5"],
        "updated": ["plums-1-4"],
        "archived": ["plums-1-0", "plums-1-1"],
    }
    items = {item["id"]: item for item in await ledger(sandbox, "acc-1", "plums")}
    assert [id_ for id_, item in items.items() if item["archived"]] == ["plums-1-0", "plums-1-1"]
    assert items["plums-1-4"]["modified"] > items["plums-1-3"]["modified"]
    served = (await sandbox.get("/plums/v1/plums")).json()["plums"]
    assert served == ["plums-1-2", "plums-1-3", "plums-1-4", "plums-1-5"]


async def test_the_ledger_of_all_resources_names_them_and_a_missing_time_is_null(
    sandbox: httpx.AsyncClient,
) -> None:
    items = (await sandbox.get(f"{CONTROL}/accounts/acc-1/ledger")).json()["items"]
    assert {item["resource"] for item in items} == {"baskets", "plums"}
    assert items[0] == {
        "id": "baskets-1-0",
        "modified": None,
        "archived": False,
        "resource": "baskets",
    }


async def test_a_ledger_is_never_paged(sandbox: httpx.AsyncClient) -> None:
    made = await sandbox.post(
        f"{CONTROL}/accounts", json={"name": "Huge", "counts": {"plums": 20_000}}
    )
    assert len(await ledger(sandbox, made.json()["account_id"], "plums")) == 20_000


async def test_the_request_log_tells_who_asked_what_and_keeps_no_secret(
    sandbox: httpx.AsyncClient,
) -> None:
    headers = await token(sandbox)
    await sandbox.delete(f"{CONTROL}/requests")
    await sandbox.get(
        "/plums/v1/plums?after=a%2Cb&code=hush&client_secret=hush&code=hush", headers=headers
    )
    await sandbox.get("/plums/oauth/v1/access-tokens/hush")
    await sandbox.get(f"/plums/v1/plums?properties={'p,' * 500}")
    first, second, third = await log(sandbox)
    assert (first["method"], first["path"], first["status"], first["account"]) == (
        "GET",
        "/v1/plums",
        200,
        "acc-1",
    )
    assert first["query"] == "after=a,b&code=[redacted]&client_secret=[redacted]&code=[redacted]"
    assert (second["path"], second["status"], second["account"]) == (
        "/oauth/v1/access-tokens/[redacted]",
        404,
        None,
    )
    assert len(third["query"]) < 250
    assert "hush" not in str([first, second, third])
    await sandbox.delete(f"{CONTROL}/requests")
    assert await log(sandbox) == []


async def test_a_fault_answers_in_the_providers_place_until_its_times_are_used(
    sandbox: httpx.AsyncClient,
) -> None:
    fault = {
        "match": {"method": "GET", "path": "/v1/*"},
        "status": 503,
        "headers": {"Retry-After": "2"},
        "times": 2,
    }
    await sandbox.put(f"{CONTROL}/faults", json=[fault | {"body": {"message": "busy"}}])
    first = await sandbox.get("/plums/v1/plums")
    assert (first.status_code, first.headers["retry-after"], first.json()) == (
        503,
        "2",
        {"message": "busy"},
    )
    assert (await sandbox.get(f"{CONTROL}/faults")).json()[0]["times"] == 1
    assert (await sandbox.get("/plums/oauth/authorize")).status_code == 200
    assert [(await sandbox.get("/plums/v1/plums")).status_code for _ in range(2)] == [503, 200]
    assert (await sandbox.get(f"{CONTROL}/faults")).json() == []
    assert [entry["status"] for entry in await log(sandbox)] == [503, 200, 503, 200]


async def test_the_first_fault_that_matches_wins_and_an_empty_list_clears(
    sandbox: httpx.AsyncClient,
) -> None:
    faults = [
        {"status": 529, "body": "<html>", "times": 1},
        {"match": {"path": "/v1/plums"}, "status": 500},
    ]
    await sandbox.put(f"{CONTROL}/faults", json=faults)
    first = await sandbox.get("/plums/v1/plums")
    assert (first.status_code, first.text, first.headers["content-type"]) == (
        529,
        "<html>",
        "text/plain; charset=utf-8",
    )
    assert [(await sandbox.get("/plums/v1/plums")).status_code for _ in range(3)] == [500] * 3
    await sandbox.put(f"{CONTROL}/faults", json=[])
    assert (await sandbox.get("/plums/v1/plums")).status_code == 200


async def test_a_fault_for_a_given_time_ends_by_the_sandboxs_clock(
    sandbox: httpx.AsyncClient,
) -> None:
    page = {"status": 502, "headers": {"Content-Type": "text/html"}, "body": "<h1>Bad gateway</h1>"}
    fault = {"match": {"path": "/v1/*"}, "after": 1, "for_s": 90, **page}
    await sandbox.put(f"{CONTROL}/faults", json=[fault])

    async def statuses(calls: int) -> list[int]:
        return [(await sandbox.get("/plums/v1/plums")).status_code for _ in range(calls)]

    await sandbox.post("/_sandbox/clock", json={"advance_s": 1000})
    assert await statuses(3) == [200, 502, 502]
    await sandbox.post("/_sandbox/clock", json={"advance_s": 60})
    assert await statuses(1) == [502]
    (left,) = (await sandbox.get(f"{CONTROL}/faults")).json()
    assert 0 < left["for_s"] <= 30
    await sandbox.post("/_sandbox/clock", json={"advance_s": 30})
    assert (await sandbox.get(f"{CONTROL}/faults")).json() == []
    assert await statuses(1) == [200]


async def test_a_fault_without_status_only_delays(sandbox: httpx.AsyncClient) -> None:
    await sandbox.put(f"{CONTROL}/faults", json=[{"delay_ms": 30, "times": 1}])
    assert (await sandbox.get("/plums/v1/plums")).status_code == 200
    assert (await log(sandbox))[0]["ms"] >= 30


async def test_a_fault_that_holds_lets_the_first_calls_pass_and_others_wait_until_it_is_replaced(
    sandbox: httpx.AsyncClient,
) -> None:
    await sandbox.put(f"{CONTROL}/faults", json=[{"after": 2, "hold": True, "times": 1}])
    assert [(await sandbox.get("/plums/v1/plums")).status_code for _ in range(2)] == [200, 200]
    held = asyncio.create_task(sandbox.get("/plums/v1/plums"))
    await until(lambda: _no_faults_left(sandbox))
    assert [(await sandbox.get("/plums/v1/plums")).status_code for _ in range(2)] == [200, 200]
    assert not held.done()
    await sandbox.put(f"{CONTROL}/faults", json=[])
    assert (await held).status_code == 200


async def test_a_held_call_is_let_go_too_when_the_faults_are_replaced_before_its_latency_is_over(
    sandbox: httpx.AsyncClient,
) -> None:
    await sandbox.put(f"{CONTROL}/faults", json=[{"hold": True, "delay_ms": 500, "times": 1}])
    held = asyncio.create_task(sandbox.get("/plums/v1/plums"))
    await until(lambda: _no_faults_left(sandbox))
    await sandbox.put(f"{CONTROL}/faults", json=[])
    async with asyncio.timeout(PATIENCE_S):
        assert (await held).status_code == 200


async def test_a_fault_that_keeps_a_share_leaves_entries_out_and_says_nothing(
    sandbox: httpx.AsyncClient,
) -> None:
    whole = (await sandbox.get("/plums/v1/plums")).json()

    async def kept(keep: float, seed: int = 1) -> list[str]:
        fault = {"keep": keep, "seed": seed, "times": 1}
        await sandbox.put(f"{CONTROL}/faults", json=[fault])
        answer = await sandbox.get("/plums/v1/plums")
        assert answer.status_code == 200
        assert answer.json().keys() == whole.keys()
        plums: list[str] = answer.json()["plums"]
        return plums

    every = whole["plums"]
    assert await kept(1.0) == every
    assert await kept(0.0) == []
    half = await kept(0.5)
    assert 0 < len(half) < len(every)
    assert set(half) < set(every)
    assert half == await kept(0.5)
    assert half != await kept(0.5, seed=2)
    assert (await sandbox.get("/plums/v1/plums")).json() == whole, "it lied once"


async def test_a_fault_leaves_out_the_entries_that_it_names(sandbox: httpx.AsyncClient) -> None:
    first, *others = (await sandbox.get("/plums/v1/plums")).json()["plums"]
    await sandbox.put(f"{CONTROL}/faults", json=[{"leave_out": [first], "times": 1}])
    assert (await sandbox.get("/plums/v1/plums")).json()["plums"] == others
    assert (await sandbox.get("/plums/v1/plums")).json()["plums"] == [first, *others]


async def _no_faults_left(sandbox: httpx.AsyncClient) -> bool:
    left: list[Any] = (await sandbox.get(f"{CONTROL}/faults")).json()
    return not left


async def test_a_path_that_the_provider_does_not_know_is_logged_and_open_to_faults(
    sandbox: httpx.AsyncClient,
) -> None:
    assert (await sandbox.get("/plums/nope")).status_code == 404
    assert (await sandbox.put("/plums/v1/plums")).status_code == 405
    await sandbox.put(f"{CONTROL}/faults", json=[{"status": 502}])
    assert (await sandbox.get("/plums/nope")).status_code == 502
    assert [entry["status"] for entry in await log(sandbox)] == [404, 405, 502]


async def test_limits_change_in_part_are_enforced_and_go_back(sandbox: httpx.AsyncClient) -> None:
    answer = await sandbox.put(
        f"{CONTROL}/limits", json={"token": {"requests": 1}, "latency_ms": 20}
    )
    assert answer.json() == {
        "token": {"requests": 1, "window_s": 10.0, "penalty_s": 0.0},
        "latency_ms": 20.0,
        "off": False,
    }
    assert [(await sandbox.get("/plums/v1/plums")).status_code for _ in range(2)] == [200, 429]
    assert min(entry["ms"] for entry in await log(sandbox)) >= 20
    await sandbox.put(f"{CONTROL}/limits", json={"off": True})
    assert (await sandbox.get("/plums/v1/plums")).status_code == 200
    reset = (await sandbox.put(f"{CONTROL}/limits", json={})).json()
    assert (reset["token"]["requests"], reset["latency_ms"], reset["off"]) == (1000, 0.0, False)
    assert (await sandbox.get(f"{CONTROL}/limits")).json() == reset


async def test_a_wrong_limit_changes_none(sandbox: httpx.AsyncClient) -> None:
    before = (await sandbox.get(f"{CONTROL}/limits")).json()
    for body in (
        {"token": {"requests": 5}, "tokens": {}},
        {"off": True, "token": {"windows": 1}},
        {"latency_ms": -1},
    ):
        assert (await sandbox.put(f"{CONTROL}/limits", json=body)).status_code == 400
    assert (await sandbox.get(f"{CONTROL}/limits")).json() == before
    unknown = await sandbox.put(f"{CONTROL}/limits", json={"burst": {}})
    assert unknown.json()["detail"] == "no bucket 'burst' here: use token, latency_ms or off"


async def test_the_clock_moves_forward_and_codes_expire_by_it(sandbox: httpx.AsyncClient) -> None:
    allowed = await sandbox.post("/plums/oauth/authorize?state=s", data={"decision": "allow"})
    moved = await sandbox.post("/_sandbox/clock", json={"advance_s": 61})
    assert moved.json()["offset_s"] == 61
    code = httpx.URL(allowed.headers["location"]).params["code"]
    answer = await sandbox.post(f"/plums/oauth/token?code={code}")
    assert (answer.status_code, answer.json()) == (403, {"detail": "the code is used or expired"})
    assert (await sandbox.post("/_sandbox/clock", json={"advance_s": -1})).status_code == 400


@pytest.mark.parametrize(
    ("call", "body", "status", "words"),
    [
        (("POST", "/_sandbox/pears/accounts"), b"{}", 404, "one of plums"),
        (("POST", f"{CONTROL}/accounts"), b'{"name":"x","count":{}}', 400, "unknown field `count`"),
        (
            ("POST", f"{CONTROL}/accounts"),
            b'{"name":"x","counts":{"pears":1}}',
            400,
            "one of baskets, plums",
        ),
        (
            ("POST", f"{CONTROL}/accounts"),
            b'{"name":"x","properties":1500}',
            400,
            "has no choice of properties",
        ),
        (("POST", f"{CONTROL}/accounts"), b"{", 400, "send a JSON document"),
        (("PUT", f"{CONTROL}/faults"), b'[{"body":' + b"[" * 100_000, 400, "send a JSON document"),
        (
            ("POST", f"{CONTROL}/accounts/none/mutate"),
            b'{"resource":"plums"}',
            404,
            "no account 'none'",
        ),
        (
            ("POST", f"{CONTROL}/accounts/acc-1/mutate"),
            b'{"resource":"plums","update":9}',
            400,
            "5 are live",
        ),
        (
            ("POST", f"{CONTROL}/accounts/acc-1/mutate"),
            b'{"resource":"plums","odd":1}',
            400,
            "leave out odd",
        ),
        (
            ("POST", f"{CONTROL}/accounts/acc-1/mutate"),
            b'{"resource":"plums","archive":["x"]}',
            400,
            "no such id: x",
        ),
        (
            ("GET", f"{CONTROL}/accounts/acc-1/ledger?resource=pears"),
            b"",
            400,
            "no resource 'pears'",
        ),
        (
            ("GET", f"{CONTROL}/accounts/acc-1/ledger?resources=plums"),
            b"",
            400,
            "The only one is resource",
        ),
        (
            ("POST", f"{CONTROL}/accounts"),
            b'{"name":"B","same_data_as":"acc-1"}',
            400,
            "in plums, nothing is shared between accounts: leave out same_data_as",
        ),
        (("PUT", f"{CONTROL}/faults"), b'[{"status":99}]', 400, "$[0].status"),
        (
            ("PUT", f"{CONTROL}/faults"),
            b'[{"status":200,"headers":{"a":"b\\r\\nc: d"}}]',
            400,
            "headers",
        ),
        (("PUT", f"{CONTROL}/faults"), b'[{"matches":{}}]', 400, "unknown field `matches`"),
        (("GET", "/_sandbox/nope/at/all/x"), b"", 404, "GET /_sandbox lists them"),
        (("PATCH", f"{CONTROL}/faults"), b"", 405, "GET /_sandbox lists them"),
    ],
)
async def test_a_wrong_call_is_told_what_is_wrong(
    sandbox: httpx.AsyncClient, call: tuple[str, str], body: bytes, status: int, words: str
) -> None:
    answer = await sandbox.request(*call, content=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]
