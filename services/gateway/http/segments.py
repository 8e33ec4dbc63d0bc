"""Keep an id with slashes one segment of the path where something follows it."""

from __future__ import annotations

import re
from typing import Final, final
from urllib.parse import quote, unquote_to_bytes

from shared.telemetry.middleware import App, Receive, Scope, Send

PART: Final = re.compile(rb"(/v1/connections/[^/]+/resources/[^/]+/parts/)([^/]+)(/[^/]+)?")


@final
class PartSegments:
    """Encode the slashes in the id of a part again.

    Servers decode the whole path before anybody looks at its segments, so that ``%2F`` in a part's
    id would begin another one. The handlers decode what they are given.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            found = PART.fullmatch(scope.get("raw_path") or b"")
            if found is not None:
                before, part, rest = found.groups()
                one = quote(unquote_to_bytes(part), safe="").encode()
                path = unquote_to_bytes(before) + one + unquote_to_bytes(rest or b"")
                scope["path"] = path.decode(errors="replace")
        await self.app(scope, receive, send)
