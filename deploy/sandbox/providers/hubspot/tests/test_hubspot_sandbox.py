from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from deploy.sandbox.providers.hubspot import SIMULATED
from deploy.sandbox.providers.hubspot.catalogue import property_types
from deploy.sandbox.providers.hubspot.tests.serving import Serving, serving, tokens
from deploy.sandbox.world import Limit, SandboxAccount

FAMILIES = ("crm/v3/objects", "crm/objects/2026-03", "crm/objects/2026-09")


class Api(msgspec.Struct, frozen=True):
    http: httpx.Client
    token: str

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"/{path}", params=params, headers=self._headers())

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.http.post(f"/{path}", json=body, headers=self._headers())

    def search(self, body: Any, kind: str = "contacts") -> httpx.Response:
        return self.post(f"crm/objects/2026-03/{kind}/search", body)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture
def api(sandbox: Serving, small: SandboxAccount) -> Api:
    sandbox.world.limiter.off = True
    return Api(sandbox.http, tokens(sandbox, account=small.id)["access_token"])


def assert_invalid(reply: httpx.Response) -> None:
    body = reply.json()
    assert (reply.status_code, body["status"], body["category"]) == (
        400,
        "error",
        "VALIDATION_ERROR",
    )
    assert body["correlationId"] == reply.headers["x-hubspot-correlation-id"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_list_without_properties_answers_with_the_defaults(api: Api, family: str) -> None:
    body = api.get(f"{family}/contacts").json()
    assert len(body["results"]) == 10
    names = {"firstname", "lastname", "email", "createdate", "lastmodifieddate", "hs_object_id"}
    assert body["results"][0]["properties"].keys() == names
    assert body["paging"]["next"]["link"].startswith(str(api.http.base_url))


def test_pages_go_by_rising_id_to_a_last_one_without_paging(
    sandbox: Serving, small: SandboxAccount, api: Api
) -> None:
    ids: list[str] = []
    after: dict[str, str] = {}
    while True:
        body = api.get("crm/objects/2026-03/contacts", limit=100, **after).json()
        ids += [row["id"] for row in body["results"]]
        if "paging" not in body:
            break
        after = {"after": body["paging"]["next"]["after"]}
    assert ids == sorted(sandbox.world.rows(small.id, "contacts"), key=int)


@pytest.mark.parametrize(
    "params",
    [
        {"properties": "jobtitle,city"},
        {"properties": ["jobtitle", "city"]},
        {"properties": "jobtitle,city,made_up", "archived": "False", "properties[]": "zip"},
    ],
)
def test_properties_come_as_commas_or_repeated_keys_and_unknown_ones_are_ignored(
    api: Api, params: dict[str, Any]
) -> None:
    shown = api.get("crm/objects/2026-03/contacts", **params).json()["results"][0]["properties"]
    assert shown.keys() == {"jobtitle", "city", "createdate", "lastmodifieddate", "hs_object_id"}


def property_names(api: Api, kind: str) -> list[str]:
    return [row["name"] for row in api.get(f"crm/properties/2026-03/{kind}").json()["results"]]


def test_every_value_is_a_string_or_null(api: Api) -> None:
    for kind in SIMULATED.resources:
        names = ",".join(property_types(kind))
        rows = api.get(f"crm/objects/2026-03/{kind}", limit=100, properties=names).json()["results"]
        values = [value for row in rows for value in row["properties"].values()]
        assert all(isinstance(value, str | None) for value in values)
        assert None in values


@pytest.mark.parametrize(
    "params", [{"limit": 101}, {"limit": 0}, {"limit": "ten"}, {"after": "x"}, {"after": "-1"}]
)
def test_limits_and_cursors_out_of_range_are_refused(api: Api, params: dict[str, Any]) -> None:
    assert_invalid(api.get("crm/objects/2026-03/contacts", **params))


def test_history_halves_the_page(api: Api) -> None:
    assert_invalid(api.get("crm/v3/objects/contacts", limit=51, propertiesWithHistory="email"))
    row = api.get("crm/v3/objects/contacts", limit=50, propertiesWithHistory="email").json()[
        "results"
    ][0]
    assert row["propertiesWithHistory"]["email"][0]["value"] == row["properties"]["email"]


def test_archived_rows_are_listed_only_when_asked_for(
    sandbox: Serving, small: SandboxAccount, api: Api
) -> None:
    touched = sandbox.world.mutate(small.id, "deals", create=0, update=[], archive=5)["archived"]
    live = api.get("crm/v3/objects/deals", limit=100).json()["results"]
    gone = api.get("crm/v3/objects/deals", limit=100, archived="True").json()["results"]
    assert [row["id"] for row in gone] == touched
    assert gone[0]["archived"] is True
    assert "archivedAt" in gone[0]
    assert {row["id"] for row in live}.isdisjoint(touched)
    assert api.get(f"crm/v3/objects/deals/{touched[0]}").status_code == 404
    assert api.get(f"crm/v3/objects/deals/{touched[0]}", archived="true").json()["id"] == touched[0]


def test_archiving_between_pages_skips_nothing(
    sandbox: Serving, small: SandboxAccount, api: Api
) -> None:
    first = api.get("crm/objects/2026-03/contacts", limit=100).json()
    last_seen = first["results"][-1]["id"]
    after = first["paging"]["next"]["after"]
    sandbox.world.mutate(small.id, "contacts", create=0, update=[], archive=[last_seen])
    rest = api.get("crm/objects/2026-03/contacts", limit=100, after=after).json()["results"]
    ids = sorted(sandbox.world.rows(small.id, "contacts"), key=int)
    assert [row["id"] for row in rest] == ids[100:200]


def test_created_and_updated_rows_show_in_lists_and_survive_a_restart(
    sandbox: Serving, small: SandboxAccount, api: Api
) -> None:
    assert len(api.get("crm/objects/2026-03/deals", limit=100).json()["results"]) == 30
    touched = sandbox.world.mutate(small.id, "deals", create=3, update=2, archive=0)
    assert len(api.get("crm/objects/2026-03/deals", limit=100).json()["results"]) == 33
    with serving(sandbox.folder) as again:
        rows = (
            Api(again.http, api.token).get("crm/objects/2026-03/deals", limit=100).json()["results"]
        )
    assert [row["id"] for row in rows][-3:] == touched["created"]
    by_id = {row["id"]: row for row in rows}
    for id_ in touched["updated"]:
        assert by_id[id_]["updatedAt"] == sandbox.world.rows(small.id, "deals")[id_].modified
        assert by_id[id_]["updatedAt"] == by_id[id_]["properties"]["hs_lastmodifieddate"]


def test_the_same_seed_makes_the_same_rows_and_enough_of_them_at_once() -> None:
    account = msgspec.structs.replace(
        SIMULATED.default, counts={"companies": 50, "contacts": 50, "deals": 50}
    )
    assert list(SIMULATED.generate(account)) == list(SIMULATED.generate(account))
    assert SIMULATED.default.counts == {"companies": 3000, "contacts": 7000, "deals": 2000}


def test_the_default_account_has_as_many_properties_as_real_ones(sandbox: Serving) -> None:
    api = Api(sandbox.http, tokens(sandbox)["access_token"])
    for kind, count in (("companies", 247), ("contacts", 367), ("deals", 954)):
        names = property_names(api, kind)
        assert len(set(names)) == len(names) == count
        ids = [row["id"] for row in api.get(f"crm/v3/objects/{kind}").json()["results"]]
        batch = {"inputs": [{"id": id_} for id_ in ids], "properties": names}
        rows = api.post(f"crm/v3/objects/{kind}/batch/read", batch).json()["results"]
        assert [set(row["properties"]) for row in rows] == [set(names)] * len(ids)
        values = [value for row in rows for value in row["properties"].values()]
        assert 0 < len(list(filter(None, values))) < len(values) / 3


def test_an_account_may_have_many_properties_and_a_search_knows_them(sandbox: Serving) -> None:
    account = sandbox.world.add_account("Wide", 3, {"deals": 200}, 1500)
    api = Api(sandbox.http, tokens(sandbox, account=account.id)["access_token"])
    names = property_names(api, "deals")
    assert len(names) == 1500
    entered = max(name for name in names if name.startswith("hs_v2_date_entered_"))
    given = [{"propertyName": entered, "operator": "HAS_PROPERTY"}]
    body = {"filterGroups": [{"filters": given}], "limit": 200, "properties": [entered]}
    found = api.search(body, "deals").json()["results"]
    assert 0 < len(found) < 200
    assert all(row["properties"][entered] for row in found)


def test_default_data_holds_names_that_break_careless_code(sandbox: Serving) -> None:
    rows = sandbox.world.rows(SIMULATED.default.id, "contacts").values()
    names = {row.body["own"]["lastname"] for row in rows}
    assert {"<img src=x onerror=alert(1)>", "invoice\u202efdp.exe", None} <= names
    assert max(len(row.body["own"].get("message", "")) for row in rows) > 10_000


def test_unknown_object_types_and_versions_are_refused(api: Api) -> None:
    assert_invalid(api.get("crm/v3/objects/unicorns"))
    assert api.get("crm/objects/2031-03/contacts").status_code == 404
    assert api.get("crm/v3/objects/0-1").status_code == 200


def test_a_batch_names_what_is_missing_in_a_207(api: Api) -> None:
    ids = [row["id"] for row in api.get("crm/v3/objects/companies").json()["results"]][:2]
    body = {"inputs": [{"id": id_} for id_ in [*ids, "404"]], "properties": ["name"]}
    reply = api.post("crm/objects/2026-03/companies/batch/read", body)
    assert reply.status_code == 207
    assert [row["id"] for row in reply.json()["results"]] == ids
    assert reply.json()["errors"][0]["context"] == {"ids": ["404"]}
    too_many = {"inputs": [{"id": str(n)} for n in range(101)]}
    assert_invalid(api.post("crm/v3/objects/companies/batch/read", too_many))


def test_search_pages_by_offset_up_to_ten_thousand(api: Api) -> None:
    first = api.search({"limit": 200}).json()
    assert (first["total"], len(first["results"]), first["paging"]) == (
        250,
        200,
        {"next": {"after": "200"}},
    )
    second = api.search({"limit": 200, "after": "200"}).json()
    assert len(second["results"]) == 50
    assert "paging" not in second
    assert_invalid(api.search({"limit": 201}))
    assert_invalid(api.search({"limit": 100, "after": "9901"}))
    assert api.search({"limit": 100, "after": "9900"}).json()["results"] == []


@pytest.mark.parametrize(
    ("operator", "operands", "accepts"),
    [
        ("EQ", {"value": "LEAD"}, lambda stage: stage == "LEAD"),
        ("EQ", {"value": "lead"}, lambda stage: stage == "lead"),
        ("NEQ", {"value": "lead"}, lambda stage: stage != "lead"),
        ("IN", {"values": ["lead", "customer"]}, lambda stage: stage in {"lead", "customer"}),
        (
            "NOT_IN",
            {"values": ["lead", "customer"]},
            lambda stage: stage not in {"lead", "customer"},
        ),
        ("HAS_PROPERTY", {}, bool),
        ("NOT_HAS_PROPERTY", {}, lambda stage: not stage),
    ],
)
def test_search_filters_by_enumerations_with_case(
    api: Api, operator: str, operands: dict[str, Any], accepts: Any
) -> None:
    body = {"limit": 200, "properties": ["lifecyclestage"]}
    everything = (
        api.search(body).json()["results"] + api.search({**body, "after": "200"}).json()["results"]
    )
    condition = {"propertyName": "lifecyclestage", "operator": operator, **operands}
    found = api.search({**body, "filterGroups": [{"filters": [condition]}]}).json()
    expected = [row["id"] for row in everything if accepts(row["properties"]["lifecyclestage"])]
    assert [row["id"] for row in found["results"]] == expected[:200]
    assert found["total"] == len(expected)


def test_search_filters_text_without_case(api: Api) -> None:
    city = {"propertyName": "city", "operator": "EQ", "value": "bERLIN"}
    found = api.search(
        {"limit": 200, "properties": ["city"], "filterGroups": [{"filters": [city]}]}
    ).json()["results"]
    assert {row["properties"]["city"] for row in found} == {"Berlin"}
    listed = {"propertyName": "city", "operator": "IN", "values": ["berlin"]}
    assert api.search({"filterGroups": [{"filters": [listed]}]}).json()["total"] == len(found)
    capital = {"propertyName": "city", "operator": "IN", "values": ["Berlin"]}
    assert api.search({"filterGroups": [{"filters": [capital]}]}).json()["total"] == 0


def test_search_goes_on_as_things_were_while_its_index_lags(
    api: Api, sandbox: Serving, small: SandboxAccount
) -> None:
    before = api.search({"limit": 200}).json()
    sandbox.world.stop_index()
    sandbox.world.mutate(small.id, "contacts", create=2, update=0, archive=1)
    lagging = api.search({"limit": 200}).json()
    assert (lagging["total"], lagging["results"]) == (before["total"], before["results"])
    sandbox.world.update_index()
    now = api.search({"limit": 200}).json()
    assert now["total"] == before["total"] + 1
    assert now["results"][0]["id"] == before["results"][1]["id"]


def test_an_index_that_loses_a_share_loses_it_from_totals_and_results(
    api: Api, sandbox: Serving, small: SandboxAccount
) -> None:
    every = {row["id"] for row in api.search({"limit": 200}).json()["results"]}
    found = []
    for seed in (1, 1, 2):
        sandbox.world.stop_index(loses=0.3, seed=seed)
        answer = api.search({"limit": 200}).json()
        found.append({row["id"] for row in answer["results"]})
        assert answer["total"] == len(found[-1]) < len(every)
    assert found[0] == found[1] != found[2]
    sandbox.world.stop_index(loses=1.0)
    assert api.search({"limit": 200}).json() == {"total": 0, "results": []}


def test_search_windows_by_time_in_milliseconds_and_sorts(api: Api) -> None:
    window = {"propertyName": "lastmodifieddate", "operator": "BETWEEN", "value": "1700000000000"}
    window["highValue"] = "1735000000000"
    sort = {"propertyName": "lastmodifieddate", "direction": "DESCENDING"}
    found = api.search(
        {"limit": 200, "filterGroups": [{"filters": [window]}], "sorts": [sort]}
    ).json()["results"]
    times = [row["updatedAt"] for row in found]
    assert 0 < len(times) < 200
    assert times == sorted(times, reverse=True)
    assert all("2023-11-14" <= time < "2024-12-25" for time in times)


def test_search_finds_tokens_and_free_text(api: Api) -> None:
    condition = {"propertyName": "email", "operator": "CONTAINS_TOKEN", "value": "*.example"}
    by_token = api.search({"filterGroups": [{"filters": [condition]}]}).json()["total"]
    assert by_token == api.search({"query": ".EXAMPLE"}).json()["total"] > 200


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": [{"propertyName": "made_up", "operator": "HAS_PROPERTY"}]}]},
        {
            "filterGroups": [
                {"filters": [{"propertyName": "email", "operator": "LIKE", "value": "x"}]}
            ]
        },
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "EQ"}]}]},
        {
            "filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}]}]
            * 6
        },
        {
            "filterGroups": [
                {"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}
            ]
        },
        {"query": "x" * 3000},
        {"limit": "many"},
        {"after": "next"},
        [],
    ],
)
def test_a_search_that_cannot_be_answered_is_a_400(api: Api, body: Any) -> None:
    assert_invalid(api.search(body))


def test_T19_deep_or_broken_json_is_a_400(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json"}
    for path in ("search", "batch/read"):
        for raw in (
            b"[" * 2900,
            b'{"limit": NaN}',
            b"\xff",
            b'{"query": "\xff"}',
            b'{"query": "\\ud800"}',
        ):
            assert_invalid(
                api.http.post(f"/crm/v3/objects/contacts/{path}", content=raw, headers=headers)
            )


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer made-up", "Basic YTpi"])
def test_a_call_without_a_live_token_is_a_401_and_costs_no_quota(
    sandbox: Serving, small: SandboxAccount, header: str | None
) -> None:
    sandbox.world.limiter.limits["ten_secondly"] = Limit(1, 10.0)
    for _ in range(2):
        headers = {"Authorization": header} if header else {}
        reply = sandbox.http.get("/crm/v3/objects/contacts", headers=headers)
        assert (reply.status_code, reply.json()["category"]) == (401, "INVALID_AUTHENTICATION")
    own = Api(sandbox.http, tokens(sandbox, account=small.id)["access_token"])
    assert own.get("crm/v3/objects/contacts").status_code == 200


def test_a_refresh_token_is_no_access_token(sandbox: Serving) -> None:
    api = Api(sandbox.http, tokens(sandbox)["refresh_token"])
    assert api.get("crm/v3/objects/contacts").status_code == 401


def test_a_missing_scope_is_named(sandbox: Serving, small: SandboxAccount) -> None:
    granted = ("oauth", "crm.objects.contacts.read")
    api = Api(sandbox.http, tokens(sandbox, account=small.id, scopes=granted)["access_token"])
    assert api.get("crm/v3/objects/contacts").status_code == 200
    for path in ("crm/objects/2026-03/deals", "crm/properties/2026-03/deals"):
        error_response = api.get(path)
        assert (error_response.status_code, error_response.json()["category"]) == (
            403,
            "MISSING_SCOPES",
        )
        context = error_response.json()["errors"][0]["context"]
        assert context == {"requiredGranularScopes": ["crm.objects.deals.read"]}


def test_an_address_over_eight_kilobytes_is_refused_by_the_edge(api: Api) -> None:
    reply = api.get("crm/v3/objects/contacts", properties=",".join(["jobtitle"] * 900))
    assert (reply.status_code, reply.headers["content-type"]) == (414, "text/html; charset=utf-8")


def test_the_hundred_and_eleventh_call_in_ten_seconds_is_a_429(
    sandbox: Serving, small: SandboxAccount
) -> None:
    api = Api(sandbox.http, tokens(sandbox, account=small.id)["access_token"])
    replies = [api.get("crm/v3/objects/deals", limit=1) for _ in range(111)]
    assert {reply.status_code for reply in replies[:110]} == {200}
    assert replies[0].headers["x-hubspot-ratelimit-max"] == "110"
    assert replies[0].headers["x-hubspot-ratelimit-remaining"] == "109"
    assert replies[-1].status_code == 429
    assert replies[-1].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert replies[-1].headers["x-hubspot-ratelimit-interval-milliseconds"] == "10000"
    assert "retry-after" not in replies[-1].headers
    other = Api(sandbox.http, tokens(sandbox)["access_token"])
    assert other.get("account-info/2026-03/details").status_code == 200


def test_the_headers_tell_the_limit_in_force_also_when_there_is_none(
    sandbox: Serving, small: SandboxAccount
) -> None:
    api = Api(sandbox.http, tokens(sandbox, account=small.id)["access_token"])
    sandbox.world.limiter.limits["ten_secondly"] = Limit(7, 2.0)
    headers = api.get("crm/v3/objects/deals").headers
    told = (
        "x-hubspot-ratelimit-max",
        "x-hubspot-ratelimit-interval-milliseconds",
        "x-hubspot-ratelimit-remaining",
    )
    assert [headers[name] for name in told] == ["7", "2000", "6"]
    sandbox.world.limiter.off = True
    headers = api.get("crm/v3/objects/deals").headers
    assert [headers[name] for name in told] == ["1000000", "10000", "1000000"]


def test_search_has_a_limit_of_its_own_without_headers(
    sandbox: Serving, small: SandboxAccount
) -> None:
    sandbox.world.limiter.limits["search"] = Limit(5, 60.0)
    api = Api(sandbox.http, tokens(sandbox, account=small.id)["access_token"])
    replies = [api.search({"limit": 1}) for _ in range(6)]
    assert [reply.status_code for reply in replies] == [200] * 5 + [429]
    assert replies[-1].json()["policyName"] == "SECONDLY"
    assert not [
        name
        for reply in replies
        for name in reply.headers
        if name.startswith("x-hubspot-ratelimit")
    ]
    assert api.get("crm/v3/objects/contacts").status_code == 200
