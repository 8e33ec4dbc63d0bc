"""After an upgrade no consent and no key is lost, and everything else returns by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from tests.support.client import RESOURCES
from tests.support.waiting import PATIENCE_S
from tests.upgrade.restore import Restored
from tests.upgrade.running import Installation

pytestmark = pytest.mark.e2e

TWO_HOURS_S = 7200


class Upgraded(NamedTuple):
    one: Installation
    restored: Restored
    said: str


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """Yield it running; messages of the old contract waited in its outboxes before the upgrade."""
    one = Installation(tmp_path_factory.mktemp("upgraded"))
    try:
        restored = one.restore()
        for service, topic in (
            ("auth", "tributary.connections.v1"),
            ("gateway", "tributary.syncs.v1"),
        ):
            row = (topic, b"old", b'{"sync": "old"}', b"\x90", 0.0)
            one.write(
                service,
                (
                    "INSERT INTO outbox (topic, key, value, headers, not_before) VALUES (?, ?, "
                    "?, ?, ?)"
                ),
                *row,
            )
        said = one.upgrade()
        one.start()
        yield Upgraded(one, restored, said)
    finally:
        one.close()


def test_it_says_what_is_kept_and_what_is_dropped(upgraded: Upgraded) -> None:
    for told in (
        "Kept",
        "consents and tokens",
        "API keys",
        "console sign-ins",
        "Dropped for good",
        "dead letters",
    ):
        assert told in upgraded.said
    assert "3 connections will be synced again automatically" in upgraded.said


@pytest.mark.parametrize("provider", RESOURCES)
def test_everything_is_loaded_again_without_being_asked(upgraded: Upgraded, provider: str) -> None:
    account = upgraded.restored.connections[provider]
    assert upgraded.one.loaded(provider, account)["sync_id"] != account.sync_id


@pytest.mark.parametrize("provider", RESOURCES)
def test_a_token_that_has_expired_is_refreshed_with_the_old_consent(
    upgraded: Upgraded, provider: str
) -> None:
    one, account = upgraded.one, upgraded.restored.connections[provider]
    one.loaded(provider, account)
    query = (
        f"SELECT refresh_sealed FROM credentials WHERE connection_id = '{account.id}'"  # our own id
    )
    before = one.rows("auth", query)
    one.control("POST", "clock", json={"advance_s": TWO_HOURS_S})
    sync = one.api("POST", f"/v1/connections/{account.id}/syncs", json={})
    assert one.synced(sync["id"])["state"] == "done"
    assert one.api("GET", f"/v1/connections/{account.id}")["status"] == "active"
    if provider != "notion":  # whose access tokens do not expire
        assert one.rows("auth", query) != before


def test_what_was_disconnected_stays_so(upgraded: Upgraded) -> None:
    gone = upgraded.restored.disconnected
    for provider, account in upgraded.restored.connections.items():
        upgraded.one.loaded(provider, account)
    found = upgraded.one.api("GET", f"/v1/connections/{gone.id}")
    assert (found["status"], found["sync_id"]) == ("disconnected", gone.sync_id)
    assert list(upgraded.one.items(gone.id)) == []


def test_no_dead_letter_is_there_and_no_new_one_comes_of_what_the_outboxes_held(
    upgraded: Upgraded,
) -> None:
    for provider, account in upgraded.restored.connections.items():
        upgraded.one.loaded(provider, account)
    assert upgraded.one.api("GET", "/v1/dead-letters")["dead_letters"] == []


def test_the_old_key_opens_and_the_console_is_signed_in(upgraded: Upgraded) -> None:
    one, restored = upgraded.one, upgraded.restored
    one.stop()
    before = dict(one.settings)
    # So it asks for keys; and beyond loopback no clock can be moved.
    one.settings.update(TRIBUTARY_HOST="0.0.0.0", TRIBUTARY_CLOCK_FILE="")
    one.start()
    assert one.http.get(f"{one.url}/v1/connections").status_code == 401
    headers = {"authorization": f"Bearer {restored.key}"}
    found = one.http.get(f"{one.url}/v1/connections", headers=headers).json()["connections"]
    assert {account.id for account in restored.connections.values()} <= {
        connection["id"] for connection in found
    }
    with httpx.Client(
        cookies={"tributary_session": restored.session}, trust_env=False, timeout=PATIENCE_S
    ) as browser:
        assert browser.get(f"{one.url}/").status_code == 200
    one.settings = before
