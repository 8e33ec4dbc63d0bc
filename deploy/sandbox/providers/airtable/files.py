"""Sign links to attachments, in their path, and serve the files behind them.

https://airtable.com/developers/web/api/field-model#multipleattachment
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from deploy.sandbox.providers.airtable.responses import ApiCaller
from deploy.sandbox.world import World

STORE: Final = "/v3/u"
LIFETIME_S: Final = 2 * 3600

Signed = Callable[[Any], Any]
"""Given a cell, the cell with links to its attachments."""


def signed_for(world: World, caller: ApiCaller) -> Signed:
    """Return a function that gives each attachment of a cell another link, for two hours."""
    until = int((world.clock.now() + LIFETIME_S) * 1000)

    def signed(cell: Any) -> Any:
        return list(map(attachment, cell)) if isinstance(cell, list) else cell

    def attachment(value: Any) -> Any:
        # A lookup of lookups is a list of lists.
        if isinstance(value, list):
            return signed(value)
        if not isinstance(value, dict) or "url" not in value:
            return value
        path = f"{until}/{token_hex(8)}/{value['id']}"
        url = f"{caller.root}{STORE}/{_signature(world, path)}/{path}"
        return {**value, "url": url}

    return signed


def file_routes(world: World) -> list[HTTPRouteHandler]:
    @get(f"{STORE}/{{signature:str}}/{{until:int}}/{{nonce:str}}/{{attachment:str}}")
    async def file(
        signature: FromPath[str],
        until: FromPath[int],
        nonce: FromPath[str],
        attachment: FromPath[str],
    ) -> Response[str]:
        path = f"{until}/{nonce}/{attachment}"
        right = hmac.compare_digest(signature.encode(), _signature(world, path).encode())
        if not right or world.clock.now() * 1000 >= until:
            return Response("Forbidden", status_code=403, media_type="text/plain")
        return Response(f"The file {attachment}, simulated.", media_type="text/plain")

    return [file]


def _signature(world: World, path: str) -> str:
    return hmac.digest(world.client.secret.encode(), f"file:{path}".encode(), "sha256").hex()
