"""The documentation, offline: the API's page out of an installed package, the topics' page out of the contracts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from litestar import Response, get
from litestar.params import FromPath

from services.gateway.context import InjectedContext
from services.gateway.http.asyncapi import Json, asyncapi_document
from services.gateway.http.openapi import OPENAPI_PATH
from services.gateway.http.pages import plain_page
from shared.errors import NotFound

_FILES: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_START: Final = f"""window.addEventListener("load", () => {{
  window.ui = SwaggerUIBundle({{
    url: "{OPENAPI_PATH}",
    dom_id: "#swagger-ui",
    deepLinking: true,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    validatorUrl: null,
  }});
}});
"""
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tributary API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="/docs/assets/favicon-32x32.png">
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The same as JSON: <a href="/schema/openapi.json">OpenAPI</a></noscript>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/assets/start.js"></script>
</body>
</html>
"""


@get("/docs", include_in_schema=False)
async def docs_page() -> Response[str]:
    return Response(_PAGE, media_type="text/html")


@get("/docs/assets/{name:str}", include_in_schema=False)
async def docs_asset(name: FromPath[str]) -> Response[bytes]:
    headers = {"cache-control": "public, max-age=3600"}
    if name == "start.js":
        return Response(_START.encode(), media_type="text/javascript", headers=headers)
    if name not in _FILES:
        raise NotFound("There is no such file.")
    content = await asyncio.to_thread((_folder() / name).read_bytes)
    return Response(content, media_type=_FILES[name], headers=headers)


@cache
def _folder() -> Path:
    """The package is only read, never imported: its code would bring web frameworks along."""
    found = find_spec("swagger_ui")
    if found is None or found.origin is None:
        raise NotFound("The documentation page is not installed: swagger-ui-py is missing.")
    return Path(found.origin).parent / "static"


@get("/events/asyncapi.json", include_in_schema=False)
async def events_json(context: InjectedContext) -> Json:
    return asyncapi_document(context.settings.kafka.bootstrap)


@get("/events", include_in_schema=False)
async def events_page(context: InjectedContext) -> Response[bytes]:
    document = asyncapi_document(context.settings.kafka.bootstrap)
    return plain_page("Tributary events", "".join(_body(document)))


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
