"""Decide who may call, and which app answers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
CONTROL: Final = "/_sandbox"


def by_slug(apps: Mapping[str, ASGIApp], rest: ASGIApp) -> ASGIApp:
    """Route ``/{slug}/…`` to that provider's app, everything else (lifespan too) to ``rest``.

    The provider's app sees its own paths, without the slug.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        slug = scope["path"].split("/", 2)[1] if scope["type"] == ScopeType.HTTP else ""
        app = apps.get(slug)
        if app is None:
            await rest(scope, receive, send)
        else:
            inner = scope.copy()
            inner["root_path"] = f"{scope.get('root_path', '')}/{slug}"
            await app(inner, receive, send)

    return serve


def local_only(app: ASGIApp, names: Collection[str] = ()) -> ASGIApp:
    """Answer only to loopback host names and ``names``.

    Pages of other sites may not use the control API: a browser sends their Origin and is refused.
    """
    hosts = LOOPBACK | {name.lower() for name in names}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            refusal = _refusal(scope, hosts)
            if refusal:
                await _refuse(send, *refusal)
                return
        await app(scope, receive, send)

    return serve


def _refusal(scope: Scope, hosts: Collection[str]) -> tuple[int, str] | None:
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    if _name(f"//{host}") not in hosts:
        return (
            400,
            "the sandbox only answers to localhost, 127.0.0.1 or [::1]: use one of them in the URL",
        )
    origin = headers.get(b"origin")
    if (
        origin
        and scope["path"].startswith(CONTROL)
        and _name(origin.decode("latin-1")) not in LOOPBACK
    ):
        return 403, "pages of other sites may not use the control API: call it from this machine"
    return None


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


async def _refuse(send: Send, status: int, detail: str) -> None:
    body = msgspec.json.encode({"detail": detail})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the lock file while the block runs; the system releases it when the process dies.

    Raises:
        RuntimeError: another process holds it.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RuntimeError(
            f"another sandbox is using {path.parent}: stop it, or give this one another data "
            "directory"
        ) from error
    finally:
        os.close(file)
