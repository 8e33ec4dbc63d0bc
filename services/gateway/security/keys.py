"""API keys: their format, and how to create, list and revoke them."""

from __future__ import annotations

import re
import secrets
import string
from typing import Annotated, Final, Literal, NamedTuple, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from services.gateway.context import GatewayContext
from services.gateway.http.fields import TIME, KeyPrefix, NextPageToken
from services.gateway.http.parameters import PageTokens, check_page_size
from services.gateway.security import queries
from services.gateway.security.queries import SCOPES, ApiKey, KeyMark, KeyScope
from shared import clock
from shared.contracts.envelope import timestamp
from shared.crypto import hash_token
from shared.db import Database
from shared.errors import BadRequest, NotFound
from shared.settings import SecretStr

_LETTERS: Final = string.digits + string.ascii_letters
_PREFIX: Final = 12
_SECRET: Final = 40
"""238 random bits."""
_KEY: Final = re.compile(rf"trb_([0-9A-Za-z]{{{_PREFIX}}})_([0-9A-Za-z]{{{_SECRET}}})")

LONGEST_NAME: Final = 100
LONGEST_ORG: Final = 256
LONGEST_DAYS: Final = 3_650
_DAY_S: Final = 86_400.0


class KeyText(NamedTuple):
    """A key as written.

    ``prefix`` is public and names it in lists and logs; ``repr`` hides ``secret``.
    """

    prefix: str
    secret: str

    def written(self) -> str:
        return f"trb_{self.prefix}_{self.secret}"

    @override
    def __repr__(self) -> str:
        return f"KeyText({self.prefix})"


def new_key_text() -> KeyText:
    return KeyText(_random(_PREFIX), _random(_SECRET))


def parse_key(text: str) -> KeyText | None:
    """Return the key's parts, None for a text that is no key of ours."""
    found = _KEY.fullmatch(text)
    return KeyText(found[1], found[2]) if found else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """The public facts of an API key."""

    prefix: KeyPrefix
    org_id: Annotated[
        str, Meta(description="The organisation that it belongs to.", examples=["acme"])
    ]
    scope: Annotated[
        KeyScope,
        Meta(description="What it may do; each scope includes those before it.", examples=["read"]),
    ]
    name: Annotated[
        str, Meta(description="What it is for; may be empty.", examples=["nightly export"])
    ]
    status: Annotated[
        Literal["active", "expired", "revoked"],
        Meta(description="Whether it is still valid.", examples=["active"]),
    ]
    created_at: Annotated[
        str,
        Meta(
            description="When it was created.",
            examples=["2026-01-31T09:00:00.000Z"],
            extra_json_schema=TIME,
        ),
    ]
    expires_at: Annotated[
        str | None,
        Meta(
            description="When it expires; null if it never does.",
            examples=["2026-05-01T09:00:00.000Z"],
            extra_json_schema=TIME,
        ),
    ]
    last_used_at: Annotated[
        str | None,
        Meta(
            description="When it was last used, up to ten minutes late; null if never.",
            examples=["2026-01-31T09:30:00.000Z"],
            extra_json_schema=TIME,
        ),
    ]
    revoked_at: Annotated[
        str | None,
        Meta(
            description="When it was revoked; null if it was not.",
            examples=["2026-02-01T09:00:00.000Z"],
            extra_json_schema=TIME,
        ),
    ]


class KeyPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of API keys."""

    keys: Annotated[list[KeyView], Meta(description="The keys, oldest first.")]
    next_page_token: NextPageToken


async def list_key_page(
    *, org: str, page_size: int = 50, page_token: str | None = None, context: GatewayContext
) -> KeyPage:
    """Return a page of an organisation's keys, oldest first. Raises ``BadToken``."""
    check_page_size(page_size)
    tokens = PageTokens(context.page_tokens, "keys", org)
    after = tokens.read(page_token, KeyMark)
    async with context.database.read() as db:
        found = await queries.find_keys(db, org=org, after=after, limit=page_size + 1)
    token = tokens.next(found, page_size, lambda key: (key.org_id, key.created_at, key.prefix))
    return KeyPage(keys=[key_view(key) for key in found[:page_size]], next_page_token=token)


async def list_keys(*, org: str | None, database: Database) -> list[KeyView]:
    """Return all keys, oldest first; those of every organisation for None."""
    async with database.read() as db:
        return [key_view(key) for key in await queries.find_keys(db, org=org)]


def key_view(key: ApiKey) -> KeyView:
    status: Literal["active", "expired", "revoked"] = "expired"
    if key.revoked_at is not None:
        status = "revoked"
    elif key.good(clock.now()):
        status = "active"
    return KeyView(
        prefix=key.prefix,
        org_id=key.org_id,
        scope=key.scope,
        name=key.name,
        status=status,
        created_at=timestamp(key.created_at),
        expires_at=_time(key.expires_at),
        last_used_at=_time(key.last_used_at),
        revoked_at=_time(key.revoked_at),
    )


def _time(at: float | None) -> str | None:
    return None if at is None else timestamp(at)


class CreatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. ``written`` is the key as its holder sends it; it cannot be read again."""

    key: ApiKey
    written: SecretStr


async def create_key(
    *,
    org: str,
    scope: str = "read",
    name: str = "",
    expires_in_days: int | None = None,
    database: Database,
) -> CreatedKey:
    """Create a key. Raises ``BadRequest``."""
    _check(org, scope, name, expires_in_days)
    text, now = new_key_text(), clock.now()
    key = ApiKey(
        prefix=text.prefix,
        # A fast hash is enough: nobody tries out 238 random bits, and every request computes it.
        digest=hash_token(text.secret),
        org_id=org,
        scope=cast("KeyScope", scope),
        name=name,
        created_at=now,
        expires_at=None if expires_in_days is None else now + expires_in_days * _DAY_S,
    )
    async with database.write() as db:
        await queries.add_key(db, key)
    return CreatedKey(key=key, written=SecretStr(text.written()))


def _check(org: str, scope: str, name: str, days: int | None) -> None:
    if not org.strip() or len(org) > LONGEST_ORG or not org.isprintable():
        raise BadRequest(
            f"The organisation must be a name of 1 to {LONGEST_ORG} characters.", code="bad_org"
        )
    if scope not in SCOPES:
        raise BadRequest(
            f"There is no such scope. Choose one of: {', '.join(SCOPES)}.", code="unknown_scope"
        )
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise BadRequest(
            f"The name must be plain text of at most {LONGEST_NAME} characters.", code="bad_name"
        )
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise BadRequest(
            f"A key can be valid for 1 to {LONGEST_DAYS} days; {days} is not.", code="bad_expiry"
        )


async def revoke_key(prefix: str, *, org: str | None, database: Database) -> ApiKey:
    """Revoke a key: it is invalid from the commit on. Repeating it gives the same answer.

    Raises ``NotFound``, also for a key of another organisation than ``org``; None is whoever runs
    the gateway.
    """
    async with database.write() as db:
        key = await queries.get_key(db, prefix)
        # The same answer for a foreign key: the error must not tell that it exists.
        if key is None or org not in {None, key.org_id}:
            raise NotFound("There is no such key.")
        await queries.mark_revoked(db, prefix, now=clock.now())
        await queries.end_sessions_of_key(db, prefix)
        return await queries.get_key(db, prefix) or key
