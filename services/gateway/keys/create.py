"""Make a key."""

from __future__ import annotations

import time
from typing import Final, cast

import msgspec

from services.gateway.keys.caller import SCOPES
from services.gateway.keys.text import new_key_text
from services.gateway.store import keys
from services.gateway.store.keys import ApiKey, Scope
from shared.crypto import hash_token
from shared.db import Database
from shared.errors import BadRequest
from shared.settings import SecretStr

LONGEST_NAME: Final = 100
LONGEST_ORG: Final = 256
LONGEST_DAYS: Final = 3_650
_DAY_S: Final = 86_400.0


class CreatedKey(msgspec.Struct, frozen=True, kw_only=True):
    """``written`` is the key as its holder sends it: nobody can read it again."""

    key: ApiKey
    written: SecretStr


async def create_key(
    *, org: str, scope: str = "read", name: str = "", expires_in_days: int | None = None, database: Database
) -> CreatedKey:
    """Raises ``BadRequest``."""
    _check(org, scope, name, expires_in_days)
    text, now = new_key_text(), time.time()
    key = ApiKey(
        prefix=text.prefix,
        digest=hash_token(text.secret),
        org_id=org,
        scope=cast("Scope", scope),
        name=name,
        created=now,
        expires=None if expires_in_days is None else now + expires_in_days * _DAY_S,
    )
    async with database.write() as db:
        await keys.add(db, key)
    return CreatedKey(key=key, written=SecretStr(text.written()))


def _check(org: str, scope: str, name: str, days: int | None) -> None:
    if not org.strip() or len(org) > LONGEST_ORG or not org.isprintable():
        raise BadRequest(f"The organisation has to be a name of 1 to {LONGEST_ORG} characters.", code="bad_org")
    if scope not in SCOPES:
        raise BadRequest(f"There is no such scope. There are: {', '.join(SCOPES)}.", code="unknown_scope")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise BadRequest(f"The name has to be plain text of at most {LONGEST_NAME} characters.", code="bad_name")
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise BadRequest(f"A key can be good for 1 to {LONGEST_DAYS} days; {days} is not.", code="bad_expiry")
