"""The REST contract: each rule holds for every operation, parameter, field and error."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy import generate
from services.gateway.app import bare_app
from services.gateway.http.error_codes import ERROR_CODES
from services.gateway.http.openapi import operations_of
from services.gateway.http.operations import given, taken
from services.gateway.http.problems import ProblemDetails
from services.gateway.http.schemas import REF, example, structs
from services.gateway.security.permissions import required_permission
from shared.version import VERSION

DOCUMENT: Any = json.loads(generate.FILES["docs/openapi.json"](""))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
SERVED = list(operations_of(bare_app(), required_permission))
TAKEN = [kind for one in SERVED for kind in taken(one)]
GIVEN = [kind for one in SERVED for kind in given(one)]
SHAPES = {shape.__name__: shape for shape in structs([ProblemDetails, *TAKEN, *GIVEN])}
READ = {shape.__name__ for shape in structs(TAKEN)}
ROOT = Path(__file__).parents[3]
LEGACY = "/integrations/"
CALLBACK = "get_callback"
OF_COMMANDS = {"bad_org", "unknown_scope", "bad_expiry"}
"""Raised only for commands: REST's schema rules these cases out."""
OF_PAGES = {"csrf", "bad_page_size"}
OPEN = {
    *("id", "connection", "connection_id", "flow_id", "org_id", "part", "parent_id", "prefix"),
    *("request_id", "sync_id", "user_id", "drive_id", "dead_letter_id", "item_id"),
    *("name", "label", "title", "type", "mime_type", "parent_path_or_name", "value", "key"),
    *("consent_note", "detail", "error", "reason", "remedy", "waiting_reason"),
    "unreconciled_reason",
    *("credentials", "delta", "digest", "next_page_token", "parameter", "version"),
}
"""Texts of people and providers, and ids, handles and digests: nobody can list their values."""
GROWING = {"code", "waiting_code", "provider", "resource", "scope"}
"""Texts whose values differ between installations or grow within a version of the API."""
LIMITED = ("enum", "format", "pattern", "contentMediaType")


def fields() -> Iterator[Any]:
    for name, schema in SCHEMAS.items():
        for field, known in schema["properties"].items():
            yield pytest.param(field, known, id=f"{name}.{field}")


def parameters() -> Iterator[Any]:
    for name, (_, _, operation) in OPERATIONS.items():
        for parameter in operation["parameters"]:
            yield pytest.param(parameter, id=f"{name}.{parameter['name']}")


def answers() -> Iterator[Any]:
    for name, (_, _, operation) in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            shared = DOCUMENT["components"]["responses"].get(
                answer.get("$ref", "").rpartition("/")[2]
            )
            yield pytest.param(int(status), shared or answer, id=f"{name}.{status}")


def has(schema: Any, keyword: str) -> Any:
    """Return the keyword's value, also from one branch of ``anyOf``."""
    return schema.get(keyword) or next(
        (has(one, keyword) for one in schema.get("anyOf", ()) if has(one, keyword)), None
    )


def test_the_document_says_what_it_is_and_where() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == VERSION == project["version"]
    assert [server["url"] for server in DOCUMENT["servers"]] == ["http://localhost:8000"]
    assert all(server["description"] for server in DOCUMENT["servers"])


def test_every_tag_is_declared_described_and_used() -> None:
    used = {tag for _, _, operation in OPERATIONS.values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in DOCUMENT["tags"]}
    assert all(tag["description"] for tag in DOCUMENT["tags"])


def test_names_of_shapes_are_words_of_the_product() -> None:
    assert {"ProblemDetails", "JobError", "SyncView", "SyncedItem"} <= set(SCHEMAS)
    assert [name for name in SCHEMAS if not re.fullmatch(r"([A-Z][a-z]+)+", name)] == []
    assert {name: schema["title"] for name, schema in SCHEMAS.items()} == {
        name: name for name in SCHEMAS
    }
    assert set(SCHEMAS) == set(SHAPES)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_shape_has_a_meaning_and_an_example_that_fits(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["description"].endswith(".")
    (shown,) = schema["examples"]
    assert msgspec.json.decode(msgspec.json.encode(msgspec.convert(shown, SHAPES[name]))) == shown


@pytest.mark.parametrize(("name", "schema"), list(fields()))
def test_a_field_has_a_meaning_a_type_and_an_example(name: str, schema: Any) -> None:
    assert has(schema, "description").strip().endswith(".")
    assert any(has(schema, keyword) for keyword in ("type", "$ref"))
    assert example(schema, SCHEMAS) is not None or has(schema, "examples") == [None]


@pytest.mark.parametrize(("name", "schema"), list(fields()))
def test_a_time_and_an_address_say_so(name: str, schema: Any) -> None:
    if name.endswith(("_at", "_until", "_since", "_time")):
        assert has(schema, "format") == "date-time"
    if re.search(r"(^|_)(url|uri)$", name):
        assert has(schema, "format") in {"uri", "uri-reference"}


def open_texts() -> set[str]:
    """Return the names of all fields and parameters whose schema permits any text."""
    known = [param.values for param in fields()]
    known += [(one["name"], one["schema"]) for param in parameters() for one in param.values]
    texts = [(name, schema) for name, schema in known if has(schema, "type") == "string"]
    return {name for name, schema in texts if not set(LIMITED) & keywords(schema)}


def keywords(schema: Any) -> set[str]:
    return set(schema).union(*map(keywords, schema.get("anyOf", ())))


def test_a_text_lists_its_values_unless_nobody_can() -> None:
    assert open_texts() == OPEN | GROWING


@pytest.mark.parametrize("name", sorted(READ))
def test_a_body_requires_what_the_server_requires_and_refuses_what_it_refuses(name: str) -> None:
    schema, shape = SCHEMAS[name], SHAPES[name]
    shown = schema["examples"][0]
    for field in schema["properties"]:
        rest = {key: value for key, value in shown.items() if key != field}
        if field in schema.get("required", ()):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert(rest, shape)
        else:
            msgspec.convert(rest, shape)
    assert (
        schema.get("additionalProperties") is False
    ) == shape.__struct_config__.forbid_unknown_fields


def test_every_json_body_refuses_fields_that_it_does_not_know() -> None:
    bodies = [body for one in SERVED if one.body for body in structs([one.body.annotation])]
    assert bodies
    assert [
        body.__name__ for body in bodies if not body.__struct_config__.forbid_unknown_fields
    ] == []


@pytest.mark.parametrize("name", sorted(set(SHAPES) - READ))
def test_an_answer_requires_every_field_that_is_always_there(name: str) -> None:
    if not SHAPES[name].__struct_config__.omit_defaults:
        assert SCHEMAS[name]["required"] == sorted(SCHEMAS[name]["properties"])


@pytest.mark.parametrize("parameter", list(parameters()))
def test_a_parameter_has_a_meaning_a_type_and_an_example(parameter: Any) -> None:
    assert parameter["description"].endswith(".")
    assert parameter["schema"]["type"] in {"string", "integer", "boolean"}
    assert parameter["example"] not in {None, ""}
    assert parameter["required"] == (parameter["in"] == "path")


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_says_what_it_does_who_may_and_shows_it(name: str) -> None:
    path, method, operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"].endswith(".")
    needed = required_permission(method.upper(), path)
    assert operation["security"] == ([] if needed == "public" else [{"key": [needed]}, {}])
    assert operation.get("deprecated", False) == (path.startswith(LEGACY) and name != CALLBACK)
    if "requestBody" in operation:
        contents = operation["requestBody"]["content"].values()
        assert all(content["example"] for content in contents)
        assert operation["requestBody"]["description"]


@pytest.mark.parametrize(("status", "answer"), list(answers()))
def test_an_answer_is_described_with_its_media_type_and_an_example(
    status: int, answer: Any
) -> None:
    assert answer["description"]
    assert answer.get("content") or status == 303
    for media, content in answer.get("content", {}).items():
        if status < 400 or media == "text/html":
            assert content["example"]
            continue
        assert media in {"application/problem+json", "application/json"}
        assert content["schema"] == {"$ref": f"{REF}ProblemDetails"}
        for code, shown in content["examples"].items():
            assert shown["summary"].endswith(".")
            problem = msgspec.convert(shown["value"], ProblemDetails)
            assert (problem.code, problem.status) == (code, status)
            assert ERROR_CODES[code].status == status


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_documents_the_errors_of_any_request(name: str) -> None:
    _, _, operation = OPERATIONS[name]
    wanted = {"400", "403", "415", "421", "500", "503"}
    wanted |= {"401", "429"} if operation["security"] else set()
    wanted |= {"413"} if "requestBody" in operation else set()
    wanted |= {"404"} if any(one["in"] == "path" for one in operation["parameters"]) else set()
    assert wanted <= set(operation["responses"])


def links() -> Iterator[Any]:
    for name, (_, _, operation) in OPERATIONS.items():
        for status, answer in operation["responses"].items():
            for link in answer.get("links", {}).values():
                shown = answer["content"]["application/json"]["example"]
                yield pytest.param(shown, link, id=f"{name}.{status}.{link['operationId']}")


@pytest.mark.parametrize(("shown", "link"), list(links()))
def test_a_link_leads_to_an_operation_with_what_it_takes(shown: Any, link: Any) -> None:
    _, _, target = OPERATIONS[link["operationId"]]
    assert link["description"].endswith(".")
    known = {parameter["name"]: parameter["required"] for parameter in target["parameters"]}
    assert set(link["parameters"]) <= set(known)
    assert {name for name, required in known.items() if required} <= set(link["parameters"])
    for expression in link["parameters"].values():
        found: Any = shown
        for step in expression.removeprefix("$response.body#/").split("/"):
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found


def test_what_is_made_links_to_where_it_is_read() -> None:
    made = {param.id for param in links()}
    assert {
        "post_connect.200.get_connect",
        "get_connect.200.get_connection",
        "post_sync.202.get_sync",
        "post_sync.202.get_events",
        "post_sync.202.post_retry",
        "get_sync.200.post_retry",
        "get_callback.200.get_connection",
        "post_credentials.200.post_load",
        "post_replay.200.get_dead_letter",
        "delete_part.202.get_connection",
        "delete_part.202.get_items",
        "post_confirm_deletions.202.get_connection",
        "post_confirm_deletions.202.get_items",
        "post_key.201.delete_key",
        "get_items.200.get_item",
        "get_dead_letters.200.get_dead_letter",
    } <= made


def test_every_code_that_is_raised_stands_in_the_table() -> None:
    raised = {
        code
        for path in (ROOT / "services/gateway").rglob("*.py")
        if "tests" not in path.parts
        for code in re.findall(r'\bcode="([a-z_]+)"', path.read_text())
    }
    assert raised - set(ERROR_CODES) - OF_COMMANDS - OF_PAGES == set()


def test_every_code_of_the_table_is_documented_somewhere() -> None:
    shown = {
        code
        for param in answers()
        for content in param.values[1].get("content", {}).values()
        for code in content.get("examples", {})
    }
    assert shown == set(ERROR_CODES)
