"""People order what becomes of a part: confirm its deletions, or remove its items."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.tests.serving import Gateway
from services.gateway.tests.test_syncs import RECEIPT, REFUSED, requested, synced
from shared.contracts.syncs import ConfirmDeletions, RemovePart

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_deletions_of_a_part_are_confirmed_and_parts_removed_by_their_names(
    api: Gateway,
) -> None:
    connection = await api.connect("airtable", user="orders")
    id_ = connection.sync_id or ""
    ended = {"state": "done", "ended_at": "2026-01-31T09:30:00.000Z", "receipt": RECEIPT}
    await api.progress(id_, connection, "records", step=9, **ended)
    await api.until(f"/v1/syncs/{id_}", lambda sync: sync["resources"][2]["receipt"])
    at = f"/v1/connections/{connection.id}/resources/records/parts"
    confirmed = await api.http.post(f"{at}/app1%2Ftbl2/confirm-deletions")
    removed = await api.http.delete(f"{at}/app1%2Ftbl%251")
    assert [confirmed.status_code, removed.status_code] == [202, 202]
    assert confirmed.json() == {
        "connection_id": connection.id,
        "resource": "records",
        "part": "app1/tbl2",
    }
    orders = await requested(api, connection.id, 2)
    assert orders == [
        ConfirmDeletions(connection_id=connection.id, resource="records", part="app1/tbl2"),
        RemovePart(connection_id=connection.id, resource="records", part="app1/tbl%1"),
    ]


@pytest.mark.parametrize(
    "more", [{"by_outcome": {"failed": 101}, "total": 102}, {"unreached_total": 900}], ids=str
)
async def test_a_part_may_be_removed_that_a_long_receipt_no_longer_names(
    api: Gateway, more: dict[str, Any]
) -> None:
    """The fetcher knows it, and looks at it before it deletes anything."""
    connection = await api.connect("airtable", user="has many tables")
    receipt = RECEIPT | {"parts": RECEIPT["parts"] | more}
    await synced(api, connection, **{**REFUSED, "receipt": receipt})
    at = f"/v1/connections/{connection.id}/resources/records/parts"
    assert (await api.http.delete(f"{at}/app1%2Ftbl101")).status_code == 202


async def test_an_order_for_a_part_that_the_newest_receipt_does_not_name_is_refused(
    api: Gateway,
) -> None:
    connection = await api.connect("airtable", user="orders")
    id_ = connection.sync_id or ""
    at = f"/v1/connections/{connection.id}/resources/records/parts"
    early = await api.http.delete(f"{at}/app1%2Ftbl%251")
    ended = {"state": "done", "ended_at": "2026-01-31T09:30:00.000Z", "receipt": RECEIPT}
    await api.progress(id_, connection, "records", step=9, **ended)
    await api.until(f"/v1/syncs/{id_}", lambda sync: sync["resources"][2]["receipt"])
    swapped = await api.http.post(f"{at}/app1%2Ftbl%251/confirm-deletions")
    readable = await api.http.delete(f"{at}/app1%2Ftbl2")
    for answer in (early, swapped, readable):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_part")
    assert "holds no deletions of a part `app1/tbl%1`" in swapped.json()["detail"]
    nowhere = await api.http.delete("/v1/connections/none/resources/records/parts/app1")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
