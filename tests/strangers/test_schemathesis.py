"""Schemathesis makes requests of all kinds from the served schema, and finds nothing wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from tests.strangers.tools import BIN, environment, needs_python_tools
from tests.support.processes import ROOT
from tests.support.product import Product, product
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, needs_python_tools]
FOLDER = ROOT / "tests/strangers/fuzz"
ORG = "demo"
SEED = 8
CASES_PER_OPERATION = 18
LEAST_CASES = 1000
COUNTS = {
    "hubspot": {"companies": 3, "contacts": 12, "deals": 3},
    "notion": {"pages": 6, "data_sources": 1, "users": 2},
    "airtable": {"bases": 1, "tables": 1, "records": 8},
}


class Fuzzed(NamedTuple):
    """Hold the outcome; ``known`` maps path parameters to existing ids."""

    product: Product
    key: str
    known: Mapping[str, str]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """Run it with accounts, a dead letter and an API key already there, so that all ids exist."""
    with product(tmp_path_factory.mktemp("fuzzed")) as one:
        for provider, counts in COUNTS.items():
            one.unlimited(provider)
            connection = one.connect(provider, account=one.account(provider, counts))
            assert one.synced(connection["sync_id"])["state"] == "done"
        _dead_letter(one)
        known = _known(one)
        one.stop()
        one.settings["TRIBUTARY_PUBLIC_URL"] = "https://tributary.example.com"
        one.start()
        yield Fuzzed(one, one.key(ORG, "admin"), known)


def _dead_letter(one: Product) -> None:
    producer = Producer({"bootstrap.servers": one.bootstrap})
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_type", b"tributary.Item"),
        ("org_id", ORG.encode()),
    ]
    producer.produce("tributary.items.v1", key=b"c/contacts/1", value=b"no JSON", headers=headers)
    producer.flush(10)
    eventually(lambda: one.api("GET", "/v1/dead-letters")["dead_letters"])


def _known(one: Product) -> dict[str, str]:
    item = one.api("GET", "/v1/items")["items"][0]
    connection = one.api("GET", f"/v1/connections/{item['connection_id']}")
    return {
        "connection_id": connection["id"],
        "sync_id": connection["sync_id"],
        "resource": item["resource"],
        "item_id": item["id"],
    }


def schemathesis(
    fuzzed: Fuzzed, *options: str | Path, schema: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run every check over the served schema, or another one of the same server."""
    served = f"{fuzzed.product.url}/schema/openapi.json"
    settings = {
        "SCHEMATHESIS_HOOKS": str(FOLDER / "hooks.py"),
        "FUZZ_KNOWN": json.dumps(fuzzed.known),
        "FUZZ_KEY_PREFIX": fuzzed.key.split("_")[1],
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [
            *(
                BIN / "schemathesis",
                "--config-file",
                FOLDER / "schemathesis.toml",
                "run",
                schema or served,
            ),
            *("--url", fuzzed.product.url, "--header", f"Authorization: Bearer {fuzzed.key}"),
            *("--checks", "all", "--seed", str(SEED), *options),
        ],
        cwd=fuzzed.product.folder,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


def test_no_request_that_the_schema_brings_forth_finds_a_fault(fuzzed: Fuzzed) -> None:
    done = schemathesis(fuzzed, "--max-examples", str(CASES_PER_OPERATION))
    report = done.stdout[-30_000:] + done.stderr
    assert done.returncode == 0, report
    ((selected, total),) = re.findall(r"Selected: (\d+)/(\d+)", done.stdout)
    assert re.findall(r"Tested: (\d+)", done.stdout) == [total] == [selected], report
    assert int(re.findall(r"(\d+) generated", done.stdout)[0]) >= LEAST_CASES, report
    assert "No issues found" in done.stdout, report


def without_an_answer(document: Any) -> None:
    del document["paths"]["/v1/connections/{connection_id}"]["get"]["responses"]["404"]


def with_a_field_that_is_not_sent(document: Any) -> None:
    document["components"]["schemas"]["ProviderView"]["required"].append("colour")


def with_an_error_that_is_not_named(document: Any) -> None:
    document["components"]["responses"]["NotFound"]["content"]["application/problem+json"][
        "examples"
    ] = {}


def with_a_field_that_may_be_anything(document: Any) -> None:
    document["components"]["schemas"]["NewKey"]["properties"]["expires_in_days"] = {
        "type": "string"
    }


@pytest.mark.parametrize(
    ("falsified", "operation"),
    [
        (without_an_answer, "get_connection"),
        (with_a_field_that_is_not_sent, "get_providers"),
        (with_an_error_that_is_not_named, "get_connection"),
        (with_a_field_that_may_be_anything, "post_key"),
    ],
)
def test_a_contract_that_says_something_else_is_found_out(
    fuzzed: Fuzzed, tmp_path: Path, falsified: Callable[[Any], None], operation: str
) -> None:
    document = fuzzed.product.api("GET", "/schema/openapi.json")
    falsified(document)
    other = tmp_path / "openapi.json"
    other.write_text(json.dumps(document))
    done = schemathesis(
        fuzzed, "--max-examples", "5", "--include-operation-id", operation, schema=str(other)
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "unique failure" in done.stdout, done.stdout + done.stderr
