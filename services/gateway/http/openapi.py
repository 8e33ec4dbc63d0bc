"""How the API is described: what its OpenAPI document says beside the routes."""

from __future__ import annotations

from typing import Final

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag

from shared.version import VERSION

OPENAPI_PATH: Final = "/schema/openapi.json"
KEY: Final = "key"
_SCHEME: Final = SecurityScheme(
    type="http",
    scheme="bearer",
    bearer_format="trb_<prefix>_<secret>",
    description="Asked for when the gateway listens beyond its own machine.",
)
ABOUT: Final = """Accounts of your customers, connected once, everything they hold in one shape.

Errors are `application/problem+json` (RFC 9457) with a stable `code`, a `detail` for people and a `request_id`.
What is not known is refused: unknown fields, unknown parameters, values out of range.

A gateway that others can reach asks for an API key: send `Authorization: Bearer trb_…`. A key belongs to one
organisation, sees nothing of any other, and has the scope `read`, `write` or `admin`; each includes those before it.
The first is made by whoever runs the gateway, with `python -m services.gateway keys create --org ORG --scope admin`.
A browser's `EventSource` cannot send the header: read event streams with `fetch`. A gateway that listens on its own
machine only asks for none.

The same items as a stream: [the Kafka topics](/events).
"""


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Tributary",
        version=VERSION,
        description=ABOUT,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        path="/schema",
        servers=[],
        use_handler_docstrings=True,
        components=Components(security_schemes={KEY: _SCHEME}),
        security=[{KEY: []}, {}],
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        render_plugins=[JsonRenderPlugin(media_type="application/json")],  # type: ignore[arg-type]  # any text will do
        tags=[
            Tag(name="Connecting accounts", description="From a link to a connection."),
            Tag(name="Connections", description="What was connected, and ending it."),
            Tag(name="Loading", description="Loads, and how far they have come."),
            Tag(name="Items", description="What was loaded, in one shape."),
            Tag(name="API keys", description="Who may call; for keys of scope admin."),
            Tag(name="Server", description="What answers here."),
            Tag(name="Original routes", description="For clients of the original app; deprecated, use /v1."),
        ],
    )
