"""Make links to other pages of a list: they repeat the whole query."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from litestar.types import Scope


def root_of(scope: Scope, api: str) -> str:
    """Return the address that a request came to, up to the path ``api`` of the provider's own."""
    return _address(scope).partition(api)[0]


def link_with(scope: Scope, name: str, value: str) -> str:
    """Return the address of a request with one parameter of its query changed or added."""
    return f"{_address(scope)}?{query_with(scope, name, value)}"


def query_with(scope: Scope, name: str, value: str | None) -> str:
    """Return a request's query with one parameter changed or added; None takes it out."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(key, one) for key, one in pairs if key != name]
    return urlencode(kept if value is None else [*kept, (name, value)])


def _address(scope: Scope) -> str:
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    # Where the server mounts an app under a prefix, only the raw path still has the prefix.
    return f"{scope['scheme']}://{host}{scope['raw_path'].decode()}"
