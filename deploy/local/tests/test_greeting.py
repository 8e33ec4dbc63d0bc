"""The start-up lines, on loopback and beyond."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.greeting import greet, keys_command
from shared.installation import provider_defaults
from shared.settings import Settings, load_settings


def settings(**given: str) -> Settings:
    named = {f"TRIBUTARY_{name}": value for name, value in given.items()}
    return load_settings(named, providers=provider_defaults())


def test_on_loopback_the_lines_name_addresses_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    greet(settings(), logs=Path("here.log"), keys_module="services.gateway")
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "Console         http://localhost:8000",
        "API docs        http://localhost:8000/docs",
        "Events docs     http://localhost:8000/events",
        "Kafka bootstrap 127.0.0.1:9092",
        "Log             here.log",
    ]
    assert said.err == ""


@pytest.mark.parametrize(
    "beyond", [{"HOST": "0.0.0.0"}, {"PUBLIC_URL": "https://tributary.example.com"}]
)
@pytest.mark.parametrize("module", ["services.gateway", "deploy.native"])
def test_beyond_loopback_they_say_that_a_key_is_needed_and_how_to_make_one(
    beyond: dict[str, str], module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    greet(settings(**beyond), logs=Path("here.log"), keys_module=module)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("An API key is needed")
    assert said[1:] == [f"  {keys_command(module)}"]
    assert said[1].endswith(f" -m {module} keys create --org demo --scope admin")


def test_the_command_names_this_python_and_the_folder_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIBUTARY_DATA_DIR", "my data")
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    assert keys_command("services.gateway").startswith(
        "TRIBUTARY_DATA_DIR='my data' .venv/bin/python -m services.gateway keys create"
    )
