"""The REST contract: an OpenAPI 3.1 document, generated from the handlers that serve it.

Operations come from the handlers, schemas from their types, errors from the table of codes, and
scopes from the table of permissions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from litestar import Litestar
from litestar.routes import HTTPRoute

from services.gateway.http.error_codes import TITLES
from services.gateway.http.operations import DescribedServer, Operation, describe, given, taken
from services.gateway.http.problems import ProblemDetails
from services.gateway.http.schemas import Json, components, structs
from shared.connector import Provider
from shared.contracts.topics import PUBLIC
from shared.version import VERSION

OPENAPI_PATH: Final = "/schema/openapi.json"
_KEY: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "trb_<prefix>_<secret>",
    "description": "An API key. Each operation names the scope that it needs: `read`, `write` or "
    "`admin`.",
}
_ABOUT: Final = """Connect your customers' accounts once, and read their items in one shape.

Errors are `application/problem+json` (RFC 9457) with a stable `code`, a `detail` for people and a
`request_id`. Unknown fields, unknown parameters and values out of range are refused.

A gateway that other machines can reach requires an API key: send `Authorization: Bearer trb_…`. A
key belongs to one organisation, sees nothing of any other, and has the scope `read`, `write` or
`admin`; each includes those before it. Whoever runs the gateway creates the first one, with
`python -m services.gateway keys create --org ORG --scope admin`. A browser's `EventSource` cannot
send the header: read event streams with `fetch`. A gateway that only listens on its own machine
does not ask for a key.

The same items are also a stream: see [the Kafka topics](/events).

What else this server answers is outside this contract: the console's pages and the short links that
a person's browser opens (`/connect/…`) may change at any time, and `/health/live`, `/health/ready`
and `/metrics` are for those who run the server.
"""
_METHODS: Final = ("get", "post", "delete")
_TAGS: Final = {
    "Connecting accounts": "From the link that a person opens to the connection.",
    "Connections": "Connected accounts.",
    "Syncs": "Bring a connection up to date, and follow the progress.",
    "Items": "The items of all connections, in one shape.",
    "Dead letters": "Messages that could not be processed. They need a key with the scope admin.",
    "API keys": "The keys of your organisation. They need a key with the scope admin.",
    "Server": "The server itself.",
    "Legacy routes": "For clients of the original app. Deprecated: use /v1.",
}


def described_server(
    providers: Iterable[Provider],
    *,
    url: str = "http://localhost:8000",
    keys_required: bool = False,
) -> DescribedServer:
    """Return how the document describes the server and its ``providers``.

    The defaults describe a gateway on one's own machine.
    """
    known = list(providers)
    resources = dict.fromkeys(
        resource.slug for provider in known for resource in provider.resources
    )
    values = {
        "providers": [provider.slug for provider in known],
        "resources": list(resources),
        "topics": [topic.name for topic in PUBLIC],
    }
    return DescribedServer(url, keys_required, values)


def openapi_document(
    app: Litestar, server: DescribedServer, *, permission: Callable[[str, str], str]
) -> Json:
    """Return the document.

    ``permission`` takes a method and a path with its parameters in braces.
    """
    operations = sorted(operations_of(app, permission), key=_order)
    read = structs(kind for one in operations for kind in taken(one))
    sent = structs([*(kind for one in operations for kind in given(one)), ProblemDetails])
    schemas = components(read | sent, sent=sent - read, known=server.known)
    paths: Json = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = describe(one, schemas, server)
    shared = _share_errors(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tributary",
            "version": VERSION,
            "summary": "Connect your customers' accounts, and read their items in one shape.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server.url, "description": "This gateway."}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas, "responses": shared, "securitySchemes": {"key": _KEY}},
    }


def operations_of(app: Litestar, permission: Callable[[str, str], str]) -> Iterable[Operation]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if handler.resolve_include_in_schema():
                for method in handler.http_methods - {"HEAD", "OPTIONS"}:
                    allowed = permission(method, route.path_format)
                    yield Operation(route.path_format, method.lower(), handler, allowed)


def _order(operation: Operation) -> tuple[bool, str, int]:
    """Return a sort key: by path, reading before writing, and unversioned paths last."""
    return not operation.path.startswith("/v1/"), operation.path, _METHODS.index(operation.method)


def _share_errors(paths: Json) -> Json:
    """Move the errors that several operations share to named components, and return those."""
    answers = [
        operation["responses"] for methods in paths.values() for operation in methods.values()
    ]
    shared: Json = {}
    for status in sorted({status for known in answers for status in known if status >= "400"}):
        own = [known[status] for known in answers if status in known]
        common = max(own, key=own.count)
        if own.count(common) > 1:
            name = TITLES[int(status)].replace(" ", "")
            shared[name] = common
            for known in answers:
                if known.get(status) == common:
                    known[status] = {"$ref": f"#/components/responses/{name}"}
    return shared
