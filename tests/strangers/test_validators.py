"""Validators of the two standards find nothing in our two documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.strangers.tools import BIN, NODE_MODULES, needs_node_tools, needs_python_tools, run
from tests.support.processes import ROOT

OPENAPI = ROOT / "docs/openapi.json"
ASYNCAPI = ROOT / "docs/asyncapi.json"


@needs_python_tools
def test_the_rest_contract_is_valid_openapi_3_1() -> None:
    checked = run(
        BIN / "openapi-spec-validator",
        "--schema",
        "3.1",
        "--subschema-errors",
        "all",
        OPENAPI,
        within=120,
    )
    assert (checked.returncode, checked.stdout.strip(), checked.stderr) == (0, f"{OPENAPI}: OK", "")


@needs_python_tools
def test_the_openapi_validator_finds_a_fault(tmp_path: Path) -> None:
    document = json.loads(OPENAPI.read_text())
    del document["paths"]["/v1/items"]["get"]["responses"]["200"]["description"]
    broken = tmp_path / "openapi.json"
    broken.write_text(json.dumps(document))
    assert run(BIN / "openapi-spec-validator", broken, within=120).returncode != 0


def faults(document: Path) -> list[str]:
    checked = run(
        "node",
        ROOT / "tests/strangers/asyncapi.mjs",
        document,
        within=120,
        folder=NODE_MODULES.parent,
    )
    assert checked.stderr == ""
    return checked.stdout.splitlines()


@needs_node_tools
def test_the_kafka_contract_is_valid_asyncapi_3_0() -> None:
    assert faults(ASYNCAPI) == []


@needs_node_tools
@pytest.mark.parametrize("part", ["info", "channels"])
def test_the_asyncapi_validator_finds_a_fault(tmp_path: Path, part: str) -> None:
    document = json.loads(ASYNCAPI.read_text())
    del document[part]
    broken = tmp_path / "asyncapi.json"
    broken.write_text(json.dumps(document))
    assert any(fault.startswith("error: ") for fault in faults(broken))
