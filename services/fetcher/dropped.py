"""Remember which records of a lane could not be read, so that each makes one dead letter.

It makes another one only when its bytes have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.jobs.queries import Job
from services.fetcher.tables import dropped_records
from shared.connector import Rejected
from shared.db import BulkUpsert, KeyLookup

_KNOWN: Final = KeyLookup(dropped_records.c.digest)
_NEW: Final = upsert(dropped_records)
_RECORD: Final = BulkUpsert(
    _NEW.on_conflict_do_update(
        index_elements=["connection_id", "resource", "digest"],
        set_={"version": _NEW.excluded.version},
    )
)


async def without_letter(
    db: AsyncConnection, job: Job, rejected: Sequence[Rejected]
) -> list[Rejected]:
    """Return the records for which there is no dead letter yet, each once."""
    digests = {_digest(one): one for one in rejected}
    lane = {"connection_id": job.connection_id, "resource": job.resource}
    known = {row.digest for row in await _KNOWN.rows(db, lane, digests)} if digests else set()
    return [one for digest, one in digests.items() if digest not in known]


async def record(
    db: AsyncConnection, job: Job, rejected: Sequence[Rejected], *, version: int
) -> None:
    digests = {_digest(one) for one in rejected}
    await _RECORD.run(
        db, [(job.connection_id, job.resource, digest, version) for digest in sorted(digests)]
    )


async def forget(
    db: AsyncConnection, connection_id: str, resource: str, *, before: int | None = None
) -> None:
    """Forget those that were last met before this version; without one, those of the whole lane."""
    lane = (dropped_records.c.connection_id == connection_id) & (
        dropped_records.c.resource == resource
    )
    if before is not None:
        lane &= dropped_records.c.version < before
    await db.execute(delete(dropped_records).where(lane))


def _digest(one: Rejected) -> str:
    return blake2b(one.raw, digest_size=16).hexdigest()
