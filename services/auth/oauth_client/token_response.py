"""Reading a token reply: what every provider must say, and where each says who consented."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, takewhile
from typing import Any

import msgspec

from services.auth.store.credentials import Pair
from shared.connector import Identity, Provider
from shared.settings import SecretStr


class Unreadable(Exception):
    """A reply with a good status that is no token reply."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """``scopes`` None: the provider did not say, so what was asked for stands. ``facts``: the reply without tokens."""

    pair: Pair
    scopes: tuple[str, ...] | None
    facts: dict[str, Any]


class Identified(msgspec.Struct, frozen=True, kw_only=True):
    account_id: str
    account_name: str | None
    grantee: str | None


def read_grant(body: Any, *, now: float) -> Grant:
    """``now`` is when the request was sent: a token is never taken to live longer than it does. Raises Unreadable."""
    access = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(access, str) or not access:
        raise Unreadable
    refresh = body.get("refresh_token")
    pair = Pair(
        access=SecretStr(access),
        refresh=SecretStr(refresh) if isinstance(refresh, str) and refresh else None,
        access_expires_at=_moment(body.get("expires_in"), now),
        refresh_expires_at=_moment(body.get("refresh_expires_in"), now),
    )
    hidden = {"access_token", "refresh_token", "id_token"}
    facts = {name: value for name, value in body.items() if name not in hidden}
    return Grant(pair=pair, scopes=_scopes(body), facts=facts)


def needs_introspection(identity: Identity, grant: Grant) -> bool:
    """Whether one of its paths could win: none before it is present in the token reply."""
    told = {"token": grant.facts}
    fields = (identity.account_id, identity.account_name, identity.grantee)
    reached = (takewhile(lambda path: _first(told, (path,)) is None, paths) for paths in fields)
    return any(path.startswith("introspection.") for path in chain.from_iterable(reached))


def identify(identity: Identity, grant: Grant, *, reply: Any, introspected: Any) -> Identified | None:
    """None when no account id is where the provider's data says it is."""
    sources = {"token": grant.facts, "identity": reply, "introspection": introspected}
    account_id = _first(sources, identity.account_id)
    if account_id is None:
        return None
    return Identified(
        account_id=account_id,
        account_name=_first(sources, identity.account_name),
        grantee=_first(sources, identity.grantee),
    )


def granted_resources(provider: Provider, scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(resource.slug for resource in provider.resources if set(resource.scopes) <= set(scopes))


def _first(sources: Mapping[str, Any], paths: tuple[str, ...]) -> str | None:
    found = (_at(sources, path.split(".")) for path in paths)
    return next((value for value in found if value is not None), None)


def _at(value: Any, steps: list[str]) -> str | None:
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)[:256] or None


def _moment(seconds: Any, now: float) -> float | None:
    """Some servers write the number as a string."""
    try:
        lifetime = None if seconds is None or isinstance(seconds, bool) else float(seconds)
    except (TypeError, ValueError):
        lifetime = None
    return now + lifetime if lifetime is not None and 0 < lifetime < 1e9 else None


def _scopes(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    listed, text = body.get("scopes"), body.get("scope")
    if isinstance(listed, list):
        return tuple(scope for scope in listed if isinstance(scope, str))
    return tuple(text.split()) if isinstance(text, str) and text.strip() else None
