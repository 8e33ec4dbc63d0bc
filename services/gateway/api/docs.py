"""The API's documentation, offline: Swagger UI out of an installed package, the schema out of the code."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from litestar import Response, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme, Tag
from litestar.params import FromPath

from shared.errors import NotFound

OPENAPI_PATH: Final = "/schema/openapi.json"
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
        version="1",
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
            Tag(name="Original routes", description="For clients of the original app; deprecated, use /v1."),
        ],
    )


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
