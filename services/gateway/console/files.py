"""The console's own few files, read once."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from services.gateway.http.validation import AnyRequest
from shared.errors import NotFound

FOLDER: Final = Path(__file__).parent / "static"
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class File(msgspec.Struct, frozen=True):
    body: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, File]:
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
    return {
        name: File(body, TYPES[Path(name).suffix], f'"{blake2b(body, digest_size=12).hexdigest()}"')
        for name, body in found.items()
    }


@get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response[bytes]:
    """Serve the icon for pages that name none, such as those that end a consent."""
    mark = _files()["mark.svg"]
    return Response(
        mark.body, media_type=mark.media_type, headers={"Cache-Control": "max-age=3600"}
    )


@get("/console/static/{name:str}", include_in_schema=False)
async def static_file(request: AnyRequest, name: FromPath[str]) -> Response[Any]:
    """Serve a file.

    Browsers revalidate it each time, so that a new release never runs with an old script.
    """
    # A lookup among known names: no path in the name can leave the folder.
    file = _files().get(name)
    if file is None:
        raise NotFound("The console has no such file.")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(None, status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
