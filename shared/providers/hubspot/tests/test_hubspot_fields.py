"""Times of stages and hidden properties are left out, unless they say what an object belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deploy.sandbox.providers.hubspot.tests.serving import Serving
from deploy.sandbox.world import SandboxAccount
from shared.connector import Interruption, LeavesOut, Reject, Request, RetryLater
from shared.providers.hubspot.connector import CONNECTOR
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
