"""The documentation: both contracts as JSON, and each as a page that needs no script.

A page's content is prepared here as plain values. Texts and types are pieces, which the template
writes and escapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Litestar, Response, get

from services.gateway.console.render import render
from services.gateway.context import InjectedContext
from services.gateway.http.asyncapi import asyncapi_document
from services.gateway.http.openapi import OPENAPI_PATH, described_server, openapi_document
from services.gateway.http.schemas import REF, Json, example
from services.gateway.http.validation import AnyRequest
from services.gateway.security.permissions import required_permission
from services.gateway.settings import GatewaySettings

_MARKED: Final = re.compile(r"`(?P<code>[^`]+)`|\[(?P<label>[^\]]+)\]\((?P<href>/[^)\s]*)\)")
_FORMATS: Final = {
    "binary": "bytes",
    "date-time": "time (RFC 3339)",
    "uri": "URL",
    "uri-reference": "URL or path",
}
_LONGEST_EXAMPLE: Final = 120


class Fragment(NamedTuple):
    """A piece of a text or type. ``look`` is ``plain`` or ``code``; ``href`` makes it a link."""

    text: str
    look: str = "plain"
    href: str = ""


@get(["/schema", OPENAPI_PATH], include_in_schema=False)
async def openapi_json(request: AnyRequest, context: InjectedContext) -> Json:
    return _rest_contract(request.app, context.settings)


@get("/docs", include_in_schema=False)
async def docs_page(request: AnyRequest, context: InjectedContext) -> Response[bytes]:
    def values() -> Json:
        document = _rest_contract(request.app, context.settings)
        links = {"openapi": OPENAPI_PATH, "server": context.settings.public_url}
        return {"tags": _tags(document), **links, **_common(document)}

    return _kept_page(request, "docs.html", values)


@get("/events/asyncapi.json", include_in_schema=False)
async def events_json(context: InjectedContext) -> Json:
    return asyncapi_document(context.settings.kafka.bootstrap)


@get("/events", include_in_schema=False)
async def events_page(request: AnyRequest, context: InjectedContext) -> Response[bytes]:
    def values() -> Json:
        bootstrap = context.settings.kafka.bootstrap
        document = asyncapi_document(bootstrap)
        return {
            "topics": [_topic(document, name) for name in document["channels"]],
            "bootstrap": bootstrap,
            **_common(document),
        }

    return _kept_page(request, "events.html", values)


def _kept_page(request: AnyRequest, template: str, values: Callable[[], Json]) -> Response[bytes]:
    """Return a page that differs between people only by its colours.

    It is long, so each is made once.
    """
    pages: dict[tuple[str, str], Response[bytes]] = request.app.state.setdefault("pages", {})
    wanted = (template, request.cookies.get("theme", "")[:8])
    if wanted not in pages:
        # Made-up themes share a page, or they would fill the memory with copies.
        wanted = (template, wanted[1] if wanted[1] in {"light", "dark"} else "")
    if wanted not in pages:
        pages[wanted] = render(template, request=request, **values())
    return pages[wanted]


def _rest_contract(app: Litestar, settings: GatewaySettings) -> Json:
    """Return the document of this installation, made once per running app."""
    found: Json | None = app.state.get("rest_contract")
    if found is None:
        providers = [configured.provider for configured in settings.providers.values()]
        server = described_server(
            providers, url=settings.public_url, keys_required=settings.keys_required
        )
        found = app.state.rest_contract = openapi_document(
            app, server, permission=required_permission
        )
    return found


def _common(document: Json) -> Json:
    schemas = document["components"]["schemas"]
    return {
        "about": _paragraphs(document["info"]["description"]),
        "version": document["info"]["version"],
        "shapes": [
            {
                "name": name,
                "about": _text(schema["description"]),
                "fields": _fields(schema, schemas),
                "example": _json(schema["examples"][0]),
            }
            for name, schema in schemas.items()
        ],
    }


def _text(value: str) -> list[Fragment]:
    """Parse the Markdown that we write: `code` and links to our own pages."""
    pieces, end = [], 0
    for found in _MARKED.finditer(value):
        pieces.append(Fragment(value[end : found.start()]))
        if found["code"]:
            pieces.append(Fragment(found["code"], "code"))
        else:
            pieces.append(Fragment(found["label"], href=found["href"]))
        end = found.end()
    return [*pieces, Fragment(value[end:])]


def _paragraphs(value: str) -> list[list[Fragment]]:
    return [_text(one) for one in value.strip().split("\n\n") if one]


def _kind(schema: Mapping[str, Any]) -> list[Fragment]:
    """Return a type in words, with links to shapes."""
    if branches := schema.get("anyOf"):
        return _joined(_kind(one) for one in branches)
    if reference := schema.get("$ref"):
        name = reference.removeprefix(REF)
        return [Fragment(name, href=f"#{name}")]
    if "enum" in schema or "const" in schema:
        return _joined(
            [Fragment(str(one), "code")] for one in schema.get("enum", [schema.get("const")])
        )
    if schema.get("type") == "array":
        return [Fragment("list of "), *_kind(schema["items"])]
    if schema.get("type") == "object" and schema.get("additionalProperties"):
        return [Fragment("object of "), *_kind(schema["additionalProperties"])]
    return [Fragment(_FORMATS.get(schema.get("format", ""), schema.get("type", "anything")))]


def _joined(kinds: Iterable[list[Fragment]]) -> list[Fragment]:
    pieces: list[Fragment] = []
    for kind in kinds:
        pieces += [Fragment(" or "), *kind] if pieces else kind
    return pieces


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Json]) -> list[Json]:
    """Return a line for each property, in the order of the shape."""
    required = set(schema.get("required", ()))
    return [
        _line(name, one, _meaning(one), example(one, schemas), required=name in required)
        for name, one in schema.get("properties", {}).items()
    ]


def _line(
    name: str, schema: Json, meaning: str, shown: Any, *, required: bool, location: str = ""
) -> Json:
    written = shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()
    if len(written) > _LONGEST_EXAMPLE:
        written = f"{written[:_LONGEST_EXAMPLE]}…"
    known = {"name": name, "kind": _kind(schema), "meaning": _text(meaning), "example": written}
    return {**known, "required": required, "location": location}


def _meaning(schema: Mapping[str, Any]) -> str:
    """Return the schema's description, which may be in a branch of ``anyOf``."""
    found = [
        schema.get("description"),
        *(one.get("description") for one in schema.get("anyOf", ())),
    ]
    return next((one for one in found if one), "")


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _topic(document: Json, name: str) -> Json:
    channel = document["channels"][name]
    settings = channel["bindings"]["kafka"]["topicConfiguration"]
    shown = []
    for key, value in settings.items():
        plain = ", ".join(value) if isinstance(value, list) else value
        shown.append(f"{key} {plain}")
    return {
        "name": name,
        "about": _text(channel["description"]),
        "settings": ", ".join(shown),
        "messages": [
            _message(document["components"]["messages"][kind]) for kind in channel["messages"]
        ],
    }


def _message(message: Json) -> Json:
    deletion = message["payload"] == {"type": "null"}
    return {
        "name": message["name"],
        "about": _text(message["summary"]),
        "value": [Fragment("null: a deletion")] if deletion else _kind(message["payload"]),
        "headers": _fields(message["headers"], {}),
        "example": _json(message["examples"][0]["payload"]),
    }


def _tags(document: Json) -> list[Json]:
    """Return the tags of an OpenAPI document, each with its operations."""
    calls: dict[str, list[Json]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            calls[operation["tags"][0]].append(_call(document, path, method, operation))
    return [
        {"name": tag["name"], "about": _text(tag["description"]), "calls": calls[tag["name"]]}
        for tag in document["tags"]
    ]


def _call(document: Json, path: str, method: str, operation: Json) -> Json:
    scopes = [scope for one in operation["security"] for names in one.values() for scope in names]
    bodies = operation.get("requestBody", {}).get("content", {}).values()
    good = {status: one for status, one in operation["responses"].items() if status < "400"}
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "about": _paragraphs(operation["description"]),
        "scope": scopes[0] if scopes else "",
        "deprecated": operation.get("deprecated", False),
        "parameters": [_parameter(one) for one in operation["parameters"]],
        "body": next((_kind(content["schema"]) for content in bodies), None),
        "curl": _curl(document["servers"][0]["url"], path, method, operation),
        "answers": [answer for status, one in good.items() for answer in _answers(status, one)],
        "links": [
            {"id": name, "about": _text(link["description"])}
            for one in good.values()
            for name, link in one.get("links", {}).items()
        ],
        "errors": list(_errors(document, operation)),
    }


def _parameter(one: Json) -> Json:
    return _line(
        one["name"],
        one["schema"],
        one["description"],
        one["example"],
        required=one["required"],
        location=one["in"],
    )


def _answers(status: str, answer: Json) -> Iterable[Json]:
    """Yield the answer once for each media type."""
    about = _text(answer["description"])
    if "content" not in answer:
        yield {"status": status, "about": about, "media": "", "kind": [], "example": ""}
    for media, content in answer.get("content", {}).items():
        kind = _kind(content["schema"])
        yield {
            "status": status,
            "about": about,
            "media": media,
            "kind": kind,
            "example": _json(content["example"]),
        }


def _errors(document: Json, operation: Json) -> Iterable[Json]:
    for status, answer in operation["responses"].items():
        name = answer.get("$ref", "").rpartition("/")[2]
        shared = document["components"]["responses"].get(name, answer)
        for content in list(shared.get("content", {}).values())[:1]:
            for code, shown in content.get("examples", {}).items():
                yield {"status": status, "code": code, "meaning": _text(shown["summary"])}


def _curl(server: str, path: str, method: str, operation: Json) -> str:
    """Return a call that can be pasted into a shell."""
    for parameter in operation["parameters"]:
        path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    parts = ["curl"]
    if method != "get":
        parts.append(f"-X {method.upper()}")
    # An empty requirement in the list says that the call also works without a key.
    if operation["security"] and {} not in operation["security"]:
        parts.append('-H "Authorization: Bearer $KEY"')
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = msgspec.json.encode(content["application/json"]["example"]).decode()
        parts.append(f"--json '{body}'")
    elif content:
        form = next(iter(content.values()))["example"]
        parts += [f"--form '{name}={value}'" for name, value in form.items()]
    return " ".join([*parts, f"{server}{path}"])
