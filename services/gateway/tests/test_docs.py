from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy import generate
from services.gateway.http.asyncapi import DEAD_LETTERS, asyncapi_document
from services.gateway.security.permissions import PART
from services.gateway.tests.serving import Gateway
from shared.contracts.topics import PUBLIC

ROUTES = {
    "/v1/version": {"get"},
    "/v1/providers": {"get"},
    "/v1/connect": {"post"},
    "/v1/connect/{flow_id}": {"get"},
    "/v1/connections": {"get"},
    "/v1/connections/{connection_id}": {"get", "delete"},
    "/v1/connections/{connection_id}/syncs": {"post"},
    PART: {"delete"},
    f"{PART}/confirm-deletions": {"post"},
    "/v1/syncs/{sync_id}": {"get"},
    "/v1/syncs/{sync_id}/events": {"get"},
    "/v1/syncs/{sync_id}/retry": {"post"},
    "/v1/items": {"get"},
    "/v1/items/refetch": {"post"},
    "/v1/items/{connection_id}/{resource}/{item_id}": {"get"},
    "/v1/dead-letters": {"get"},
    "/v1/dead-letters/{dead_letter_id}": {"get"},
    "/v1/dead-letters/{dead_letter_id}/replay": {"post"},
    "/v1/keys": {"get", "post"},
    "/v1/keys/{prefix}": {"delete"},
    "/integrations/{provider}/authorize": {"post"},
    "/integrations/{provider}/oauth2callback": {"get"},
    "/integrations/{provider}/credentials": {"post"},
    "/integrations/{provider}/load": {"post"},
}


def openapi() -> Any:
    return json.loads(generate.FILES["docs/openapi.json"](""))


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(one) for one in node.values()))
    return set().union(*(references(one) for one in node)) if isinstance(node, list) else set()


def resolve(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def test_the_schema_describes_every_route_in_openapi_3_1() -> None:
    document = openapi()
    assert document["openapi"].startswith("3.1")
    described = {
        path: set(methods) & {"get", "post", "delete", "put"}
        for path, methods in document["paths"].items()
    }
    assert described == ROUTES
    for reference in references(json.loads(json.dumps(document))):
        assert resolve(document, reference), reference
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["operationId"]


def test_the_event_document_describes_every_topic_and_message() -> None:
    document = json.loads(json.dumps(asyncapi_document()))
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {*(topic.name for topic in PUBLIC), DEAD_LETTERS}
    for reference in references(document):
        assert resolve(document, reference), reference
    kinds = {message["name"] for message in document["components"]["messages"].values()}
    assert {
        "tributary.Item",
        "tributary.ItemDeleted",
        "tributary.SyncRequested",
        "tributary.JobFinished",
    } <= kinds


def test_generated_files_that_are_stale_are_named(tmp_path: Path) -> None:
    first = generate.stale(tmp_path)
    assert {"docs/openapi.json", "docs/asyncapi.json"} <= set(first)
    for name, content in first.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "docs/openapi.json").write_text("{}")
    assert set(generate.stale(tmp_path)) == {"docs/openapi.json"}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_documentation_page_needs_nothing_but_this_server(api: Gateway) -> None:
    page = await api.http.get("/docs")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|style=", page.text)
    links = {
        link.partition("#")[0] for link in re.findall(r'(?:src|href)="([^"]+)"', page.text)
    } - {""}
    assert "/schema/openapi.json" in links
    for link in links:
        assert link.startswith("/")
        answer = await api.http.get(link)
        assert answer.status_code == 200, link
        assert answer.content


@pytest.mark.asyncio(loop_scope="module")
async def test_the_served_contract_is_the_committed_one_but_for_its_address(api: Gateway) -> None:
    served = (await api.http.get("/schema/openapi.json")).json()
    assert served["servers"][0]["url"] == api.settings.public_url
    assert {**served, "servers": []} == {**openapi(), "servers": []}


@pytest.mark.asyncio(loop_scope="module")
async def test_every_operation_and_shape_stands_on_the_documentation_page(api: Gateway) -> None:
    page = (await api.http.get("/docs")).text
    document = openapi()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page


@pytest.mark.asyncio(loop_scope="module")
async def test_where_no_key_is_needed_the_example_calls_have_none(api: Gateway) -> None:
    page = (await api.http.get("/docs")).text
    assert "curl -X POST" in page
    assert "$KEY" not in page


@pytest.mark.asyncio(loop_scope="module")
async def test_the_events_page_is_plain_and_complete(api: Gateway) -> None:
    page = await api.http.get("/events")
    assert page.status_code == 200
    assert not re.search(r"<script(?![^>]*src=)|style=", page.text)
    for topic in PUBLIC:
        assert f"<code>{topic.name}</code>" in page.text
    document = (await api.http.get("/events/asyncapi.json")).json()
    assert document["servers"]["kafka"]["host"] == api.settings.kafka.bootstrap


@pytest.mark.asyncio(loop_scope="module")
async def test_v1_itself_says_where_its_documentation_is(api: Gateway) -> None:
    found = (await api.http.get("/v1")).json()
    for path in found.values():
        assert (await api.http.get(path)).status_code == 200
