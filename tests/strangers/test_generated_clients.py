"""A stranger generates a client from the served schema and writes a program that works."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.strangers.tools import (
    BIN,
    NODE_MODULES,
    environment,
    needs_node_tools,
    needs_python_tools,
    run,
)
from tests.support.client import RESOURCES
from tests.support.processes import ROOT
from tests.support.product import Product, product
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.e2e
PROGRAMS = ROOT / "tests/strangers/programs"
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
COUNTS = {
    "hubspot": {"companies": 9, "contacts": 23, "deals": 4},
    "notion": {"pages": 16, "data_sources": 2, "users": 3},
    "airtable": {"bases": 1, "tables": 2, "records": 25},
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product(tmp_path_factory.mktemp("product")) as one:
        for provider in RESOURCES:
            one.unlimited(provider)
        yield one


@pytest.fixture(scope="module")
def schema(running: Product) -> str:
    return f"{running.url}/schema/openapi.json"


@pytest.fixture(scope="module")
def python_client(schema: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder to put on a program's path."""
    folder = tmp_path_factory.mktemp("python") / "client"
    made = run(
        BIN / "openapi-python-client",
        "generate",
        "--url",
        schema,
        "--output-path",
        folder,
        within=110,
    )
    assert (made.returncode, made.stdout.strip(), made.stderr) == (0, f"Generating {folder}", "")
    return folder


@pytest.fixture(scope="module")
def typescript_program(schema: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled program."""
    folder = tmp_path_factory.mktemp("typescript")
    (folder / "node_modules").symlink_to(NODE_MODULES)
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("walk.ts", "tsconfig.json"):
        shutil.copy(PROGRAMS / name, folder / name)
    made = run(
        "node_modules/.bin/openapi-typescript",
        schema,
        "-o",
        "schema.d.ts",
        within=60,
        folder=folder,
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert "warn" not in made.stdout.lower(), made.stdout
    compiled = run("node_modules/.bin/tsc", "--project", ".", within=110, folder=folder)
    assert (compiled.returncode, compiled.stdout, compiled.stderr) == (0, "", "")
    return folder / "out/walk.js"


def walked(
    running: Product, provider: str, *command: str | Path, path: Path | None = None
) -> dict[str, Any]:
    """Return what the program printed at its end; this test opens the link it prints."""
    account = running.account(provider, COUNTS[provider], name="Strangers")
    user = f"{Path(command[-1]).name} {provider}"
    # By address: for a name, Node gives each of its addresses 250 ms, too short on a busy machine.
    url = running.url.replace("//localhost", "//127.0.0.1")
    program = subprocess.Popen(
        [*(str(part) for part in command), url, provider, user],
        env=environment({"PYTHONPATH": str(path)} if path else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        first = program.stdout.readline()
        assert first, program.communicate()
        running.consent(json.loads(first)["open"], account=account)
        output, errors = program.communicate(timeout=90)
    finally:
        program.kill()
    assert (program.returncode, errors) == (0, ""), output
    told: dict[str, Any] = json.loads(output)
    ledger = {
        resource: len(running.ledger(provider, account, resource))
        for resource in RESOURCES[provider]
    }
    assert told["counts"] == {resource: count for resource, count in ledger.items() if count}
    return told


def holds(told: dict[str, Any]) -> None:
    assert told["state"] == "done"
    assert told["distinct"] == sum(told["counts"].values())
    assert told["read"] == told["listed"]
    assert told["raw"] is True


@needs_python_tools
def test_the_python_client_has_every_operation_of_the_schema(
    python_client: Path, schema: str
) -> None:
    document = httpx.get(schema, timeout=PATIENCE_S).json()
    wanted = {
        operation["operationId"]
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method in METHODS
    }
    made = {path.stem for path in python_client.glob("tributary_client/api/*/*.py")} - {"__init__"}
    assert made == wanted


@needs_python_tools
@pytest.mark.parametrize("provider", RESOURCES)
def test_a_program_on_the_python_client_connects_syncs_and_reads(
    running: Product, python_client: Path, provider: str
) -> None:
    holds(walked(running, provider, BIN / "python", PROGRAMS / "walk.py", path=python_client))


@needs_node_tools
@pytest.mark.parametrize("provider", RESOURCES)
def test_a_program_on_the_typescript_client_connects_syncs_and_reads(
    running: Product, typescript_program: Path, provider: str
) -> None:
    holds(walked(running, provider, "node", typescript_program))
