"""Sign links to files as S3 does, where Notion keeps them, and serve the files behind them.

https://developers.notion.com/reference/file-object
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final
from urllib.parse import unquote, urlencode

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from deploy.sandbox.providers.notion.request import SandboxRequest
from deploy.sandbox.providers.notion.values import Json
from deploy.sandbox.world import World
from shared.contracts.envelope import timestamp

STORE: Final = "/prod-files-secure"
LIFETIME_S: Final = 3600
AT: Final = "%Y%m%dT%H%M%SZ"


def hosted(request: SandboxRequest, key: str) -> Json:
    """Return a file that Notion hosts: each answer has another link, which lives for an hour."""
    now, path = request.world.clock.now(), f"{STORE}/{request.account}/{key}"
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Date": datetime.fromtimestamp(now, UTC).strftime(AT),
        "X-Amz-Expires": str(LIFETIME_S),
        "X-Amz-Security-Token": token_hex(16),
    }
    query["X-Amz-Signature"] = _signature(request.world, path, query)
    return {
        "url": f"{request.root}{path}?{urlencode(query)}",
        "expiry_time": timestamp(now + LIFETIME_S),
    }


def file_routes(world: World) -> list[HTTPRouteHandler]:
    path = f"{STORE}/{{workspace:str}}/{{file:str}}/{{name:str}}"

    @get(path, name="notion file")
    async def file(request: Request[Any, Any, Any]) -> Response[str]:
        parts = request.path_params
        key = f"{STORE}/{parts['workspace']}/{parts['file']}/{parts['name']}"
        query = dict(request.query_params)
        signature = str(query.pop("X-Amz-Signature", ""))
        if not hmac.compare_digest(signature.encode(), _signature(world, key, query).encode()):
            return _denied("SignatureDoesNotMatch", "The signature does not match the request.")
        signed = datetime.strptime(query["X-Amz-Date"], AT).replace(tzinfo=UTC).timestamp()
        until = signed + float(query["X-Amz-Expires"])
        if world.clock.now() >= until:
            times = {"Expires": timestamp(until), "ServerTime": world.clock.iso()}
            return _denied("AccessDenied", "Request has expired", **times)
        return Response(f"The file {parts['name']}, simulated.", media_type="text/plain")

    return [file]


def _signature(world: World, path: str, query: dict[str, str]) -> str:
    signed = f"{unquote(path)}?{urlencode(query)}".encode()
    return hmac.digest(world.client.secret.encode(), b"file:" + signed, "sha256").hex()


def _denied(code: str, message: str, **more: str) -> Response[str]:
    told = {"Code": code, "Message": message, **more, "RequestId": token_hex(8).upper()}
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in told.items())
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'
    return Response(body, status_code=403, media_type="application/xml")
