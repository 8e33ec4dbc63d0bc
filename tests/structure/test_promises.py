"""Everything that the README and the import law promise exists."""

import re
from configparser import ConfigParser

import pytest

from tests.structure.tree import ROOT

README = ROOT / "README.md"
TARGETS = {
    "run",
    "stack",
    "upgrade",
    "test",
    "test-busy",
    "stack-test",
    "chaos",
    "lint",
    "fmt",
    "check",
    "test-one",
    "bench",
    "screenshots",
    "lock",
    "clean",
    "help",
}


def make_targets() -> set[str]:
    return set(
        re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )


def test_the_makefile_has_every_target_people_are_told_about() -> None:
    assert make_targets() >= TARGETS


@pytest.mark.skipif(not README.exists(), reason="this checkout has no README.md")
def test_every_make_command_of_the_readme_exists() -> None:
    told = set(
        re.findall(
            r"\bmake ([a-z][a-z-]*)\b(?=[`\n ])", "\n".join(commands(README.read_text("utf-8")))
        )
    )
    assert told >= {"run", "test"}
    assert told <= make_targets()


def commands(markdown: str) -> list[str]:
    """Return fenced lines and inline code: elsewhere "make" is an English word."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return fenced + [f"{code} " for code in re.findall(r"`(make [^`\n]+)`", markdown)]


def import_law() -> ConfigParser:
    law = ConfigParser()
    law.read(ROOT / ".importlinter", "utf-8")
    return law


@pytest.mark.parametrize("service", ["auth", "fetcher", "gateway"])
def test_a_service_has_at_most_eight_layers(service: str) -> None:
    contract = import_law()[f"importlinter:contract:{service}-layers"]
    assert contract["containers"].split() == [f"services.{service}"]
    assert 1 < len(contract["layers"].strip().splitlines()) <= 8


def test_the_law_of_imports_keeps_its_contracts() -> None:
    law = import_law()
    contracts = {section.rpartition(":")[2] for section in law.sections()}
    assert contracts >= {
        "kernel",
        "services",
        "auth-layers",
        "fetcher-layers",
        "gateway-layers",
        "shared-layers",
        "providers",
        "contracts-are-data",
        "connectors-belong-to-the-fetcher",
        "no-fakes-in-production",
        "one-door-to-the-database",
        "verbs-know-no-framework",
        "acyclic",
    }
    assert all(
        law[f"importlinter:contract:{name}"].get("ignore_imports") is None
        for name in contracts - {"importlinter"}
    )


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150
