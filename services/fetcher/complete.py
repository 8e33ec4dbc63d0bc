"""Complete the items that the provider truncated: read the rest of their fields, then send them.

A step is one call, which brings a piece of a field, or one item that is sent. So the work can stop
after any step, and goes on there.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import structlog
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, truncated
from services.fetcher.call import NO_FAILURES
from services.fetcher.context import FetcherContext, JobRun
from services.fetcher.emit import PLAIN, SORTED, Completed, completed
from services.fetcher.jobs import queries, transitions
from services.fetcher.jobs.queries import Job
from services.fetcher.truncated import TruncatedItem
from shared import clock
from shared.connector import (
    LONGEST_CURSOR,
    Completes,
    FieldPiece,
    Record,
    Reject,
    Restart,
    RetryLater,
)
from shared.contracts.items import MAX_BYTES

LARGEST: Final = MAX_BYTES - 100_000
"""Bytes of an object and its pieces. With more, the item might be too large to send ``raw``, which
would be less than what readers have."""
MOST_PIECES: Final = 1_000
"""The most answers that are kept of an item: a hundred thousand references, if each brings 100."""
RESTARTS: Final = 5
"""A cursor that expires a few times may be bad luck; one that always expires never gets through."""
FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3600.0
"""An item whose rest the provider failed to give waits as long as that has lasted, within these."""

log = structlog.get_logger()


async def complete_some(run: JobRun, context: FetcherContext, *, end_run: bool = False) -> bool:
    """Take the next step; return False when there is none.

    Raises:
        Interruption: the provider did not answer. Other items are due before this one.
    """
    job, completes = run.job, run.completes
    if completes is None:
        return False
    async with context.database.read() as db:
        item = await truncated.next_due(db, job)
    if item is None:
        return False
    if not item.fields:
        await _send(run, context, completes, item, end_run=end_run)
        return True
    try:
        answer = await _answer(run, completes, item)
    except RetryLater as error:
        if not error.limit and error.code not in NO_FAILURES:
            await _put_off(run, context, completes, item)
        raise
    async with context.database.write(lock=job.connection_id) as db:
        await _record(db, job, item, answer)
        await truncated.save(db, job, item)
        await transitions.advance(db, job, end_run=end_run, told=False)
    return True


async def _answer(
    run: JobRun, completes: Completes, item: TruncatedItem
) -> FieldPiece | Reject | Restart:
    """Ask for the next piece of the item's first field."""
    resource, field = run.job.resource, item.fields[0]
    try:
        return await completes.piece(run.call, resource, item.id, field, item.cursor)
    except Reject as error:
        if error.everything:
            raise
        return error
    except Restart as error:
        return error


async def _record(
    db: AsyncConnection, job: Job, item: TruncatedItem, answer: FieldPiece | Reject | Restart
) -> None:
    item.failing_since = None
    if isinstance(answer, FieldPiece):
        refused = await _keep(db, job, item, answer)
    elif isinstance(answer, Reject) or item.restarts == RESTARTS:
        refused = answer.code
    else:
        refused = None
        item.restarts, item.cursor = item.restarts + 1, None
        await truncated.forget_field(db, job, item)
    if refused is not None:
        # It stays truncated, and is asked for again when the object changes.
        log.info("completion_refused", job_id=job.id, item=item.id, code=refused)
        await truncated.forget_field(db, job, item)
        _next_field(item)


async def _keep(
    db: AsyncConnection, job: Job, item: TruncatedItem, piece: FieldPiece
) -> str | None:
    """Keep a piece; return why its field cannot be completed, if it cannot."""
    body = PLAIN.encode(piece.body)
    if item.size + len(body) > LARGEST or item.pieces > MOST_PIECES:
        return "too_large"
    following = b""
    if piece.cursor is not None:
        encoded = SORTED.encode(piece.cursor)
        if len(encoded) > LONGEST_CURSOR:
            return "cursor_too_large"
        following = blake2b(encoded, digest_size=16).digest()
    if not await truncated.add_piece(db, job, item, following=following, body=body):
        return "cursor_loop"
    item.cursor = piece.cursor
    if piece.cursor is None:
        _next_field(item)
    return None


def _next_field(item: TruncatedItem) -> None:
    item.fields, item.cursor = item.fields[1:], None


async def _send(
    run: JobRun,
    context: FetcherContext,
    completes: Completes,
    item: TruncatedItem,
    *,
    end_run: bool,
) -> None:
    """Send the item with what was read; what is still missing stands in its ``truncated``."""
    job, at = run.job, run.next_version()
    async with context.database.read() as db:
        raw, pieces = await truncated.kept(db, job, item)
    record = completes.completed(job.resource, raw, pieces)
    item.standing = "refused" if record.truncated else "complete"
    was = None
    if pieces or item.whole:
        was = await _emit(run, context, item, record, completed(run, record, version=at))
    async with context.database.write(lock=job.connection_id) as db:
        await truncated.forget_pieces(db, job, item)
        await _checkpoint(db, job, item, was, end_run=end_run)


async def _emit(
    run: JobRun,
    context: FetcherContext,
    item: TruncatedItem,
    record: Record,
    made: Completed,
) -> bytes:
    """Send the item; return the digest that it had for readers before."""
    job, was = run.job, item.sent
    async with context.database.write(lock=job.connection_id) as db:
        # If this process dies now, readers may have all of it: nothing shorter may follow. The note
        # of what is about to be sent then invalidates the item, and the row stays valid.
        doubtful = replace(item, standing="waiting", sent=b"", whole=True)
        await truncated.save(db, job, doubtful)
        await queries.record_pending(db, job, (item.id,))
    positions = await context.producer.send_all([made.message])
    item.sent, item.whole = made.digest, not record.truncated
    job.item_positions = {**job.item_positions, **positions}
    job.attempts, job.receipt, job.pending_ids = 0, made.receipt, ()
    return was


async def _checkpoint(
    db: AsyncConnection, job: Job, item: TruncatedItem, was: bytes | None, *, end_run: bool
) -> None:
    """Save the item; if it was sent, ``was`` is the digest that it had before."""
    if was is not None:
        await known_items.record_sent(
            db, job.connection_id, job.resource, item.id, was=was, digest=item.sent
        )
    await truncated.save(db, job, item)
    await transitions.advance(db, job, end_run=end_run, told=False)


async def _put_off(
    run: JobRun, context: FetcherContext, completes: Completes, item: TruncatedItem
) -> None:
    """Let other items, and other fields of this one, go first.

    After two days, send what there is of it: readers may not be left with an older version longer.
    """
    job, now, was = run.job, clock.now(), None
    item.failing_since = now if item.failing_since is None else item.failing_since
    lasted = now - item.failing_since
    item.next_try_at = now + min(LONGEST_WAIT_S, max(FIRST_WAIT_S, lasted))
    if lasted >= context.give_up_after_s:
        at = run.next_version()
        async with context.database.read() as db:
            raw, pieces = await truncated.kept(db, job, item)
        done = {field: body for field, body in pieces.items() if field not in item.fields}
        record = completes.completed(job.resource, raw, done)
        made = completed(run, record, version=at)
        if made.digest != item.sent:
            was = await _emit(run, context, item, record, made)
    if item.cursor is None:
        item.fields = [*item.fields[1:], item.fields[0]]
    async with context.database.write(lock=job.connection_id) as db:
        await _checkpoint(db, job, item, was, end_run=False)
