"""The topics' documentation: AsyncAPI as JSON, and the same as a plain page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from litestar import Response, get

from services.gateway.api.asyncapi import Json, asyncapi_document
from services.gateway.api.pages import plain_page
from services.gateway.hub import TheHub


@get("/events/asyncapi.json", include_in_schema=False)
async def events_json(hub: TheHub) -> Json:
    return asyncapi_document(hub.settings.kafka.bootstrap)


@get("/events", include_in_schema=False)
async def events_page(hub: TheHub) -> Response[bytes]:
    document = asyncapi_document(hub.settings.kafka.bootstrap)
    return plain_page("Tributary events", "".join(_body(document)))


HANDLERS = [events_json, events_page]


def _body(document: Json) -> Iterable[str]:
    yield "<h1>Events</h1>"
    for paragraph in document["info"]["description"].strip().split("\n\n"):
        yield f"<p>{_text(paragraph)}</p>"
    host = document["servers"]["kafka"]["host"]
    yield f"<p>Kafka: <code>{_text(host)}</code>. The same as JSON: "
    yield '<a href="/events/asyncapi.json">AsyncAPI 3.0</a>. <a href="/">Console</a>, <a href="/docs">API</a>.</p>'
    for name, channel in document["channels"].items():
        yield f'<section id="{_text(name)}"><h2><code>{_text(name)}</code></h2><p>{_text(channel["description"])}</p>'
        settings = channel["bindings"]["kafka"]["topicConfiguration"]
        yield f"<p>{_text(', '.join(f'{key} {_plain(value)}' for key, value in settings.items()))}</p>"
        for kind in channel["messages"]:
            yield from _message(document, kind)
        yield "</section>"
    yield "<h2>Shapes</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield from _schema(name, schema)


def _message(document: Json, kind: str) -> Iterable[str]:
    message = document["components"]["messages"][kind]
    shape = message["payload"].get("$ref", "").rpartition("/")[2]
    value = f'a <a href="#{_text(shape)}">{_text(shape)}</a>' if shape else "null: a deletion"
    yield f"<details><summary><code>{_text(message['name'])}</code>, its value is {value}</summary>"
    yield from _rows(message["headers"]["properties"].items(), first="header")
    yield "</details>"


def _schema(name: str, schema: Json) -> Iterable[str]:
    yield f'<h3 id="{_text(name)}">{_text(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
    yield from _rows(schema.get("properties", {}).items(), first="field")


def _rows(fields: Iterable[tuple[str, Any]], *, first: str) -> Iterable[str]:
    yield f'<table><tr><th scope="col">{first}</th><th scope="col">type</th><th scope="col">meaning</th></tr>'
    for name, known in fields:
        yield f"<tr><td><code>{_text(name)}</code></td><td>{_kind(known)}</td>"
        yield f"<td>{_text(known.get('description', ''))}</td></tr>"
    yield "</table>"


def _kind(schema: Json) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if reference := schema.get("$ref"):
        name = _text(reference.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "items" in schema and isinstance(schema["items"], dict):
        return f"list of {_kind(schema['items'])}"
    if "const" in schema or "enum" in schema:
        return _text(" or ".join(str(one) for one in schema.get("enum", [schema.get("const")])))
    return _text(schema.get("type", "anything"))


def _plain(setting: object) -> str:
    return ", ".join(str(one) for one in setting) if isinstance(setting, list) else str(setting)


def _text(value: object) -> str:
    """Escaped, with `code` between backticks."""
    parts = escape(str(value)).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
