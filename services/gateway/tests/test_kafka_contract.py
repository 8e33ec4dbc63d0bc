"""The Kafka contract describes every field and header, and is what is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typing_extensions import override

from deploy import generate
from services.gateway.http.asyncapi import DEAD_LETTERS, KINDS
from services.gateway.http.schemas import example, structs
from services.gateway.tests.serving import Gateway
from shared.contracts import items
from shared.contracts.envelope import Message, event
from shared.contracts.topics import CONNECTIONS, PUBLIC

DOCUMENT: Any = json.loads(generate.FILES["docs/asyncapi.json"](""))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
EVENTS = [kind for kind in MESSAGES if kind != "DeadLetter"]
ROOT = Path(__file__).parents[3]
VALUES = [value for kinds in KINDS.values() for value in kinds.values()]
SHAPES = {shape.__name__: shape for shape in structs(VALUES)}
REF = items.ItemRef(connection_id="c", resource="pages", id="1")


def fields() -> Iterator[Any]:
    for name, schema in SCHEMAS.items():
        for field, known in schema["properties"].items():
            yield pytest.param(known, id=f"{name}.{field}")
    for name, message in MESSAGES.items():
        for header, known in message["headers"]["properties"].items():
            yield pytest.param(known, id=f"{name}:{header}")


def sent(kind: str) -> Message:
    """Return a message of that kind, made by the code that sends it."""
    shape = next(kinds[kind] for kinds in KINDS.values() if kind in kinds)
    if kind == "ItemDeleted":
        return items.deletion(
            REF, org_id="o", generation=1, version=1, reason="merged", merged_into="2"
        )
    assert shape is not None
    body: Any = msgspec.convert(MESSAGES[kind]["examples"][0]["payload"], shape, strict=False)
    if kind == "Item":
        return items.upsert(body, b"{}", digest="d", at="2026-01-31T09:30:00.000Z")
    return event(CONNECTIONS, key="k", kind=kind, source="auth", body=body, traceparent="00-1-2-01")


@pytest.mark.parametrize("schema", list(fields()))
def test_a_field_or_header_has_a_meaning_a_type_and_an_example(schema: Any) -> None:
    described = [schema, *schema.get("anyOf", ())]
    assert any(one.get("description", "").endswith(".") for one in described)
    assert any(one.get("type") or one.get("$ref") for one in described)
    assert (
        example(schema, SCHEMAS) not in {None, ""}
        if not isinstance(example(schema, SCHEMAS), dict | list)
        else True
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_shape_has_a_meaning_and_an_example_that_fits(name: str) -> None:
    assert SCHEMAS[name]["description"].endswith(".")
    (shown,) = SCHEMAS[name]["examples"]
    assert (
        msgspec.json.decode(msgspec.json.encode(msgspec.convert(shown, SHAPES[name], strict=False)))
        == shown
    )


@pytest.mark.parametrize("kind", EVENTS)
def test_a_message_is_documented_with_the_headers_that_it_is_sent_with(kind: str) -> None:
    documented = MESSAGES[kind]["headers"]
    message = sent(kind)
    names = {name for name, _ in message.headers}
    assert set(documented["required"]) <= names <= set(documented["properties"])
    assert names - set(documented["required"]) <= {"traceparent", "merged_into"}
    assert dict(message.headers)["ce_type"].decode() == MESSAGES[kind]["name"]


@pytest.mark.parametrize("kind", EVENTS)
def test_a_message_has_a_meaning_a_key_and_an_example(kind: str) -> None:
    message = MESSAGES[kind]
    assert message["summary"].endswith(".")
    key = message["bindings"]["kafka"]["key"]
    assert key["description"]
    assert key["examples"][0]
    (shown,) = message["examples"]
    assert set(shown["headers"]) == set(message["headers"]["required"])
    assert shown["headers"]["ce_subject"] == key["examples"][0]
    assert (shown["payload"] is None) == (kind == "ItemDeleted")


def test_every_kind_of_message_of_every_topic_is_documented() -> None:
    assert {name: set(channel["messages"]) for name, channel in DOCUMENT["channels"].items()} == {
        **{topic.name: set(KINDS[topic.name]) for topic in PUBLIC},
        DEAD_LETTERS: {"DeadLetter"},
    }


def test_every_header_of_a_dead_letter_is_documented_and_every_documented_one_is_written() -> None:
    documented = {
        name
        for message in MESSAGES.values()
        for name in message["headers"]["properties"]
        if name.startswith("dlq_")
    }
    written = {
        name
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if "tests" not in path.parts and path.name != "asyncapi.py"
        for name in re.findall(r'"(dlq_[a-z]+)"', path.read_text())
    }
    assert documented == written
    assert "dlq_replay" not in MESSAGES["DeadLetter"]["headers"]["properties"]


class Rows(HTMLParser):
    """Return the lines of all tables, as the texts of their cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    @override
    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


@pytest.mark.asyncio(loop_scope="module")
async def test_no_cell_of_the_events_page_is_empty(api: Gateway) -> None:
    rows = Rows((await api.http.get("/events")).text).rows
    assert len(rows) > len(MESSAGES) * 7
    assert [row for row in rows if not all(row)] == []


@pytest.mark.asyncio(loop_scope="module")
async def test_no_cell_of_the_api_page_is_empty(api: Gateway) -> None:
    page = (await api.http.get("/docs")).text
    rows = Rows(page).rows
    assert len(rows) > 300
    assert [row for row in rows if not all(row)] == []
    assert len(re.findall(r"<details id=", page)) == page.count('class="method"')
