"""Proof, kept beside the tokens, that the keys of this start are those that sealed them."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auth import tables
from shared.crypto import KeyRing, check_canary, make_canary


async def prove(db: AsyncConnection, keyring: KeyRing) -> None:
    """Raises ``DecryptFailed`` or ``UnknownKey`` when the keys are not those of the data."""
    sealed = (await db.execute(select(tables.canary.c.sealed))).scalar()
    if sealed is None:
        await db.execute(insert(tables.canary).values(id=1, sealed=make_canary(keyring)))
    else:
        check_canary(keyring, sealed)
