"""Make links to other pages of a list: they repeat the whole query."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from litestar.types import Scope


def root_of(scope: Scope) -> str:
    """Return the scheme and host that a request came to."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return f"{scope['scheme']}://{host}"


def link_with(scope: Scope, name: str, value: str) -> str:
    """Return the address of a request with one parameter of its query changed or added."""
    # Where the server mounts an app under a prefix, only the raw path still has the prefix.
    return f"{root_of(scope)}{scope['raw_path'].decode()}?{query_with(scope, name, value)}"


def query_with(scope: Scope, name: str, value: str | None) -> str:
    """Return a request's query with one parameter changed or added; None takes it out."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(key, one) for key, one in pairs if key != name]
    return urlencode(kept if value is None else [*kept, (name, value)])
