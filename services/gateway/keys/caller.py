"""Who asks, and what they may."""

from __future__ import annotations

from typing import Final

import msgspec

from services.gateway.store.keys import ApiKey, Scope

SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
"""Each includes those before it."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """``org`` None is everyone's: a gateway that needs no keys.

    ``csrf`` and ``session``, the digest of what the browser holds, are set when a browser's session asks.
    """

    org: str | None
    scope: Scope
    prefix: str | None = None
    key_name: str | None = None
    csrf: str | None = None
    session: str | None = None

    def may(self, needed: Scope) -> bool:
        return SCOPES.index(self.scope) >= SCOPES.index(needed)


ANYONE: Final = Caller(org=None, scope="admin")
"""The caller of a gateway that only this machine can reach."""


def caller_with(key: ApiKey, *, csrf: str | None = None, session: str | None = None) -> Caller:
    return Caller(org=key.org_id, scope=key.scope, prefix=key.prefix, key_name=key.name, csrf=csrf, session=session)
