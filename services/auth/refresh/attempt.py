"""The first transaction of a refresh: who may make it, and what is known of the one before."""

from __future__ import annotations

from typing import Final

import msgspec

from services.auth.context import AuthContext
from services.auth.store import connections, credentials
from services.auth.store.credentials import Credential
from shared.contracts.connections import Connection
from shared.contracts.envelope import new_id

ATTEMPT_S: Final = 20.0
"""Twice the deadline of the call: nobody else starts while an answer may still come."""
LIVE: Final = frozenset({"active", "degraded"})


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to send one refresh. ``unresolved``: the outcome of an earlier one with this token is not known."""

    connection: Connection
    credential: Credential
    attempt_id: str
    fingerprint: str
    unresolved: bool


class Busy(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody else is at it, until then at most (epoch seconds)."""

    attempt_id: str
    until: float


async def begin(connection_id: str, token_version: int, *, again: bool, context: AuthContext) -> Claim | Busy | None:
    """None: nothing to do (another token version already, no longer live, not refreshable) or too early to try again.

    ``again`` does not wait for the time set after a failure: the caller has just met it and goes on at once.
    """
    now = context.clock()
    async with context.database.write() as db:
        connection = await connections.get(db, connection_id)
        credential = await credentials.get(db, connection_id)
        if (
            connection is None
            or credential is None
            or connection.status not in LIVE
            or connection.token_version != token_version
        ):
            return None
        if credential.attempt_id is not None and credential.refresh_until > now:
            return Busy(attempt_id=credential.attempt_id, until=credential.refresh_until)
        if credential.fingerprint is None or (credential.retry_at > now and not again):
            return None
        unresolved = credential.attempt_id is not None and credential.attempt_fingerprint == credential.fingerprint
        replays = credential.replays if unresolved else 0
        attempt_id = new_id()
        if not await credentials.claim(db, credential, attempt_id, until=now + ATTEMPT_S, replays=replays):
            return Busy(attempt_id="", until=now)
    return Claim(
        connection=connection,
        credential=msgspec.structs.replace(credential, replays=replays),
        attempt_id=attempt_id,
        fingerprint=credential.fingerprint,
        unresolved=unresolved,
    )
