"""The ``keys`` command, on the database of the settings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.gateway.security.callers import Unauthorized, authenticate
from services.gateway.security.command import main
from services.gateway.security.queries import ApiKey
from services.gateway.tests.locked import prefix
from services.gateway.throttle import Throttle
from shared.db import Database, Schema
from shared.settings import SecretStr

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True, params=["sqlite", "postgresql"])
def tables(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path | Schema:
    """Return the location of the gateway's tables in the settings."""
    monkeypatch.setenv("TRIBUTARY_DATA_DIR", str(tmp_path))
    if request.param == "sqlite":
        return tmp_path / "gateway.db"
    url = request.getfixturevalue("real_postgres")
    monkeypatch.setenv("TRIBUTARY_DATABASE_URL", url)
    return Schema(url=SecretStr(url), name="gateway")


def created(capsys: Captured, *arguments: str) -> str:
    assert main(["create", *arguments]) == 0
    return capsys.readouterr().out.strip()


def held(key: str, tables: Path | Schema) -> ApiKey:
    """Return the caller that the gateway finds for the key. Raises ``Unauthorized``."""

    async def look() -> ApiKey:
        database = Database(tables)
        try:
            return await authenticate(key, address=None, throttle=Throttle(), database=database)
        finally:
            await database.close()

    return asyncio.run(look())


def test_a_key_is_made_before_the_gateway_ever_ran_and_opens_it(
    tables: Path | Schema, capsys: Captured
) -> None:
    key = created(capsys, "--org", "acme", "--scope", "admin", "--name", "CI")
    found = held(key, tables)
    assert (found.org_id, found.scope, found.name, found.prefix) == (
        "acme",
        "admin",
        "CI",
        prefix(key),
    )


def test_a_key_reads_only_unless_it_is_said(tables: Path | Schema, capsys: Captured) -> None:
    assert held(created(capsys, "--org", "acme"), tables).scope == "read"


def test_the_list_shows_everything_but_what_opens(capsys: Captured) -> None:
    keys = [created(capsys, "--org", org, "--expires-in-days", "30") for org in ("acme", "other")]
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(prefix(key) in shown for key in keys)
    assert not any(key.split("_")[2] in shown for key in keys)
    assert main(["list", "--org", "acme"]) == 0
    assert prefix(keys[1]) not in capsys.readouterr().out


def test_only_a_digest_of_the_secret_is_on_disk(tmp_path: Path, capsys: Captured) -> None:
    secret = created(capsys, "--org", "acme").split("_")[2]
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("whole", [True, False])
def test_a_revoked_key_opens_nothing_whether_it_was_named_whole_or_by_prefix(
    tables: Path | Schema, capsys: Captured, whole: bool
) -> None:
    key = created(capsys, "--org", "acme")
    assert main(["revoke", key if whole else prefix(key)]) == 0
    assert "is revoked" in capsys.readouterr().err
    with pytest.raises(Unauthorized):
        held(key, tables)
    assert main(["revoke", prefix(key)]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["revoke", "nothing"], "There is no such key."),
        (["create", "--org", " "], "The organisation must be a name"),
        (["create", "--org", "a\x1b[31m"], "The organisation must be a name"),
        (["create", "--org", "a", "--name", "x\n"], "The name must be plain text"),
        (
            ["create", "--org", "a", "--expires-in-days", "0"],
            "A key can be valid for 1 to 3650 days",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: list[str], said: str, capsys: Captured
) -> None:
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert captured.out == ""


def test_settings_that_are_wrong_are_said(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("TRIBUTARY_GATEWAY_PORT", "none")
    assert main(["list"]) == 2
    assert "TRIBUTARY_GATEWAY_PORT" in capsys.readouterr().err
