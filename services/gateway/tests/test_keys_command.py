"""The command that creates, lists and revokes keys, as its user sees it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from services.gateway.security.command import main


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that does not exist yet, in a directory without a .env."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIBUTARY_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_key_is_made_listed_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "create",
                "--org",
                "acme",
                "--scope",
                "write",
                "--name",
                "crm",
                "--expires-in-days",
                "7",
            ]
        )
        == 0
    )
    made, words = capsys.readouterr()
    key = re.fullmatch(r"trb_([0-9A-Za-z]{12})_([0-9A-Za-z]{40})\n", made)
    assert key, "nothing but the key is on standard output"
    assert "not shown again" in words
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert {key[1], "acme", "write", "active", "crm"} <= set(listed.split())
    assert key[2] not in listed
    assert main(["revoke", made.strip()]) == 0, (
        "a whole key that was pasted is as good as its prefix"
    )
    assert key[2] not in capsys.readouterr().err
    assert main(["list", "--org", "acme"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["list", "--org", "other"]) == 0
    assert key[1] not in capsys.readouterr().out


def test_the_folder_that_it_makes_is_for_its_owner_only(data: Path) -> None:
    assert main(["list"]) == 0
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_what_is_wrong_is_said_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["revoke", "000000000000"]) == 1
    assert main(["create", "--org", " "]) == 1
    monkeypatch.setenv(
        "TRIBUTARY_DATABASE_URL", "postgresql://somebody:hunter2@127.0.0.1:9/nothing"
    )
    assert main(["list"]) == 1
    monkeypatch.setenv("TRIBUTARY_HOST", "nonsense")
    assert main(["list"]) == 2
    said = capsys.readouterr().err
    assert "There is no such key." in said
    assert "The database does not answer" in said
    assert "TRIBUTARY_HOST" in said
    assert "hunter2" not in said
    assert "Traceback" not in said
