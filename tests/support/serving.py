"""Serve an app with the product's own server on a free loopback port."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal

from shared.serve import Served, bind


@asynccontextmanager
async def served(app_at: Callable[[str], Any]) -> AsyncIterator[str]:
    """Serve the app that ``app_at`` makes for an address, in this event loop; yield the address.

    It is on localhost, like the product's own: browsers and our rules for return addresses treat
    that as loopback.
    """
    listeners = bind(0, what="a test", setting="no setting")
    url = f"http://localhost:{listeners[0].getsockname()[1]}"
    server = Served("test", app_at(url), listeners)
    try:
        await server.start()
        yield url
    finally:
        await server.stop()
        for one in listeners:
            one.close()
        # uvicorn sets the level of its logger for the whole process; the next test reads its lines.
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


@contextmanager
def served_in_thread(app: Any) -> Iterator[str]:
    """Serve ``app`` in an event loop of its own, for clients that block; yield the address."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(served(lambda _: app)) as url,
    ):
        yield url
