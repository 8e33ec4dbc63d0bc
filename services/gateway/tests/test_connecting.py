from __future__ import annotations

from services.gateway.tests.serving import Gateway


async def test_a_connection_is_listed_from_the_moment_the_callback_page_is_sent(gateway: Gateway) -> None:
    connection = await gateway.connect("hubspot")
    listed = (await gateway.http.get("/v1/connections")).json()["connections"]
    assert [one["id"] for one in listed] == [connection.id]
    assert listed[0]["sync_id"] == connection.sync_id
    assert listed[0]["account"] == {"id": "one", "name": "One"}
    sync = (await gateway.http.get(f"/v1/syncs/{connection.sync_id}")).json()
    assert sync["state"] == "running"
    assert [(one["resource"], one["state"]) for one in sync["resources"]] == [
        ("companies", "queued"),
        ("contacts", "queued"),
        ("deals", "queued"),
    ]
