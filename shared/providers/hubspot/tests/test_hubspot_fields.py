"""Times of stages and hidden properties are left out, unless they say what an object belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.sandbox.providers.hubspot.tests.serving import Serving
from deploy.sandbox.world import SandboxAccount
from shared.connector import (
    Connector,
    Interruption,
    LeavesOut,
    PartSchema,
    Reject,
    RemembersSchemas,
    Request,
    RetryLater,
)
from shared.providers.hubspot.connector import CONNECTOR
from shared.providers.hubspot.tests.caller import Caller
from shared.providers.hubspot.tests.test_hubspot_connector import caller
from shared.providers.hubspot.walk import Columns, chosen
from tests.support import walks

HIDDEN = {"hidden": True}
SENSITIVE = ("patient_number", "bank_account")
"""Their values take scopes that we do not ask for."""


@pytest.mark.parametrize(
    ("name", "definition", "asked"),
    [
        ("dealname", {}, True),
        ("hs_analytics_source", {"hidden": False}, True),
        ("hs_lifecyclestage_lead_date", {}, True),
        ("hs_date_entered_closedwon", {}, False),
        ("hs_date_exited_1025783512", {}, False),
        ("hs_time_in_appointmentscheduled", {}, False),
        ("hs_v2_date_entered_customer", {}, False),
        ("hs_v2_latest_time_in_1025783512", {}, False),
        ("hs_v2_cumulative_time_in_lead", HIDDEN, False),
        ("hs_time_to_close", {}, True),
        ("hs_was_imported", HIDDEN, False),
        ("hs_was_imported", {"hidden": "true"}, True),
        ("hs_predictivescoringtier", HIDDEN, False),
        ("hubspot_owner_id", HIDDEN, True),
        ("hs_all_owner_ids", HIDDEN, True),
        ("second_owner", {**HIDDEN, "referencedObjectType": "OWNER"}, True),
        ("pipeline", HIDDEN, True),
        ("dealstage", HIDDEN, True),
        ("hs_pipeline_stage", HIDDEN, True),
        ("hs_merged_object_ids", HIDDEN, True),
        ("hs_attachment_ids", HIDDEN, True),
        ("domain", HIDDEN, True),
    ],
)
def test_a_property_is_asked_for_by_what_its_definition_says(
    name: str, definition: dict[str, Any], asked: bool
) -> None:
    rows = [{"name": name, **definition}]
    found = chosen(rows, link=None, all_fields=False)
    assert (found.names, found.left_out) == (((name,), ()) if asked else ((), (name,)))
    assert chosen(rows, link=None, all_fields=True) == Columns(names=(name,))


def test_rows_without_a_name_are_no_properties() -> None:
    rows = [{"hidden": True}, {"name": 7}, "name", None, {"name": "email"}]
    assert chosen(rows, link=None, all_fields=False) == Columns(names=("email",))


async def test_what_a_schema_leaves_out_no_object_has_and_one_switch_includes_it(
    sandbox: Serving,
) -> None:
    account = sandbox.world.add_account("Large", 3, {"deals": 20}, {"deals": 954})
    call, part = caller(sandbox, account), CONNECTOR.parts("deals")[0]
    assert isinstance(CONNECTOR, LeavesOut)
    left_out = CONNECTOR.left_out(await CONNECTOR.schema(call, "deals", part))
    assert len(left_out) > 509
    assert left_out[-2:] == SENSITIVE
    page = await walks.first_page(CONNECTOR, call, "deals")
    assert not any(set(left_out) & one.raw["properties"].keys() for one in page.records)

    whole = CONNECTOR.with_all_fields()
    assert isinstance(whole, LeavesOut)
    assert whole.left_out(await whole.schema(call, "deals", part)) == SENSITIVE
    ids = tuple(one.id for one in page.records)
    for records in (
        (await walks.first_page(whole, call, "deals")).records,
        (await whole.read(call, "deals", ids)).records,
    ):
        assert {len(one.raw["properties"]) for one in records} == {954}
    await call.aclose()


@pytest.mark.parametrize("failure", [Reject("not for this account"), RetryLater("down")])
async def test_what_fails_to_name_sensitive_properties_keeps_nothing_from_being_read(
    sandbox: Serving, failure: Interruption
) -> None:
    call = caller(sandbox, large(sandbox), before=fails(failure))
    schema = await CONNECTOR.schema(call, "deals", CONNECTOR.parts("deals")[0])
    assert schema["left_out"]
    assert not {*SENSITIVE} & {*schema["left_out"]}
    await call.aclose()


async def test_a_limit_that_is_reached_at_sensitive_properties_is_waited_for(
    sandbox: Serving,
) -> None:
    call = caller(sandbox, large(sandbox), before=fails(RetryLater("slowly", limit=True)))
    with pytest.raises(RetryLater):
        await CONNECTOR.schema(call, "deals", CONNECTOR.parts("deals")[0])
    await call.aclose()


def large(sandbox: Serving) -> SandboxAccount:
    return sandbox.world.add_account("Not Enterprise", 3, {"deals": 2}, {"deals": 954})


def fails(failure: Interruption) -> Callable[[Request], None]:
    def before(request: Request) -> None:
        if "dataSensitivity" in dict(request.params):
            raise failure

    return before


async def test_reading_by_id_gives_the_same_object_as_the_list(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    listed = (await walks.first_page(CONNECTOR, call, "deals")).records
    lookup = await CONNECTOR.read(call, "deals", tuple(one.id for one in listed))
    assert lookup.records == listed
    assert "hs_date_entered_closedwon" not in listed[0].raw["properties"]
    assert "hs_merged_object_ids" in listed[0].raw["properties"]
    await call.aclose()


async def schema_after(
    call: Caller, last: PartSchema | None, *, resource: str = "deals"
) -> PartSchema:
    """Return the schema of a walk, given that of the walk before."""
    connector: Connector = CONNECTOR
    if last is not None:
        assert isinstance(CONNECTOR, RemembersSchemas)
        connector = CONNECTOR.with_last({resource: last})
    return await connector.schema(call, resource, connector.parts(resource)[0])


async def test_a_property_that_a_list_lacks_is_asked_for_as_long_as_objects_have_it(
    sandbox: Serving, small: SandboxAccount
) -> None:
    lacking: set[str] = set()
    call = caller(sandbox, small, answered=lambda request, body: without(request, body, lacking))
    whole = await schema_after(call, None)
    lacking |= {"dealname", "amount", "hs_merged_object_ids"}
    assert sorted((await schema_after(call, whole))["names"]) == sorted(whole["names"])
    assert len((await schema_after(call, None))["names"]) == len(whole["names"]) - 3
    await call.aclose()


async def test_a_property_that_neither_list_nor_objects_have_is_gone(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    whole = await schema_after(call, None)
    with_one_more = {**whole, "names": [*whole["names"], "abolished"]}
    assert (await schema_after(call, with_one_more))["names"] == whole["names"]
    await call.aclose()


async def test_where_no_object_shows_it_a_property_is_kept(sandbox: Serving) -> None:
    call = caller(sandbox, sandbox.world.add_account("Empty", 3, {"deals": 0}))
    whole = await schema_after(call, None)
    with_one_more = {**whole, "names": [*whole["names"], "abolished"]}
    assert (await schema_after(call, with_one_more))["names"] == with_one_more["names"]
    await call.aclose()


async def test_a_list_without_any_property_is_no_list(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small, answered=lambda request, body: without(request, body, None))
    with pytest.raises(RetryLater, match=r"properties of deals that has none\.$"):
        await schema_after(call, None)
    await call.aclose()


async def test_links_outlast_account_details_that_are_refused(
    sandbox: Serving, small: SandboxAccount
) -> None:
    def refuse(request: Request) -> None:
        if request.path.startswith("/account-info"):
            raise Reject("not for this app")

    call, refused = caller(sandbox, small), caller(sandbox, small, before=refuse)
    whole = await schema_after(call, None)
    assert whole["link"]
    assert await schema_after(refused, whole) == whole
    assert (await schema_after(refused, None))["link"] is None
    await call.aclose()
    await refused.aclose()


async def test_what_is_read_by_id_has_the_properties_of_the_last_walk(
    sandbox: Serving, small: SandboxAccount
) -> None:
    call = caller(sandbox, small)
    whole = await schema_after(call, None)
    (record, *_) = (await walks.first_page(CONNECTOR, call, "deals")).records
    assert isinstance(CONNECTOR, RemembersSchemas)
    connector = CONNECTOR.with_last({"deals": {**whole, "names": ["dealname"]}})
    call.seen.clear()
    (alone,) = (await connector.read(call, "deals", (record.id,))).records
    assert alone.raw["properties"].keys() < record.raw["properties"].keys()
    assert (alone.name, alone.url) == (record.name, record.url)
    assert [one.path.rpartition("/")[2] for one in call.seen] == ["read"]
    await call.aclose()


def without(request: Request, body: Any, names: set[str] | None) -> Any:
    """Return a list of properties without these, or without any; other answers as they are."""
    if not request.path.startswith("/crm/properties/"):
        return body
    left = [one for one in body["results"] if names is not None and one["name"] not in names]
    return {**body, "results": left}
