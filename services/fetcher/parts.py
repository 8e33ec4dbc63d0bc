"""Keep the parts of a lane's walk: which there are, how far each was read, and how it ended.

Only the worker that has claimed the lane writes them, in the transaction that writes the job. So
the condition of that write, epoch and checkpoint, protects the parts as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher.jobs.queries import Job
from services.fetcher.tables import parts, seen_cursors
from shared import clock
from shared.connector import Cursor, Part, Provider
from shared.contracts.envelope import timestamp
from shared.contracts.progress import Outcome, PartOutcome, Parts
from shared.db import KeyLookup

MOST_NAMED: Final = 100
"""The most parts not read completely that a receipt names; it only counts the rest."""
LONGEST_NAME: Final = 200
LONGEST_DETAIL: Final = 500


class PartError(msgspec.Struct, frozen=True, kw_only=True):
    """Say why a part could not be read completely, or why it waits.

    ``detail`` and ``remedy`` are for people.
    """

    code: str
    detail: str
    remedy: str
    scope: str | None = None


NOT_READ: Final = PartError(code="not_read", detail="It was not read.", remedy="Sync again.")


class WalkedPart(msgspec.Struct, kw_only=True):
    """A part of a lane, as the job ``job_id`` walks it or walked it last.

    A walk is ordered by ``turn`` and then by ``position``, the version of the page that named the
    part: first a part that was begun, then those with records, then those that only name others.
    Failed parts come last, by the minute of their next try; otherwise two of them could block the
    rest. ``found_in`` is that page's part, None for the parts with which a walk begins.
    ``first_version`` is the lane's version when the walk of this part began: items of it known at a
    lower version were not found. ``begun_at`` is when its first page was read, ``read_at`` when the
    last. A part without an ``outcome`` is still to be read. ``failing_since`` is the first failure
    since ``read_at``, later by the time in which nobody tried; ``not_before`` is the end of the
    last wait that the provider asked for. ``restarts`` counts refused cursors since the last page
    with news. ``stale_since`` is when an earlier walk last read it whole, None if this one did.
    """

    connection_id: str
    resource: str
    id: str
    name: str
    lists: bool
    schema_key: str | None
    found_in: str | None
    position: int
    generation: int
    job_id: str
    first_version: int
    page_size: int
    cursor: Cursor | None = None
    schema_digest: bytes | None = None
    pages: int = 0
    items: int = 0
    empty_pages: int = 0
    failing_since: float | None = None
    restarts: int = 0
    turn: int = 0
    tried_again: bool = False
    outcome: Outcome | None = None
    error: PartError | None = None
    next_try_at: float = 0.0
    not_before: float | None = None
    stale_since: float | None = None
    begun_at: float | None = None
    read_at: float | None = None

    @property
    def part(self) -> Part:
        """Return the part as its connector named it."""
        return Part(id=self.id, name=self.name, lists=self.lists, schema=self.schema_key)

    def begin_anew(self) -> None:
        """Start the walk of this part again. The items that were read keep their versions."""
        self.cursor, self.schema_digest, self.empty_pages = None, None, 0
        self.begun_at = None

    def end(self, outcome: Outcome, error: PartError | None = None) -> None:
        self.outcome, self.error, self.next_try_at = outcome, error, 0.0
        if outcome == "done":
            self.stale_since = None

    @property
    def rank(self) -> int:
        """Return the part's turn among those that are left to read."""
        if self.failing_since is not None or self.next_try_at:
            return 3 + int(self.next_try_at // 60)
        if self.cursor is not None:
            return 0
        return 2 if self.lists else 1


_KEY: Final = tuple(column.name for column in parts.primary_key)
_NAMED: Final = KeyLookup(*parts.columns)
_NEW: Final = upsert(parts)
_UPSERT: Final = _NEW.on_conflict_do_update(
    index_elements=list(_KEY),
    set_={column.name: column for column in _NEW.excluded if column.name not in _KEY},
)
_WRITTEN: Final = (
    "cursor", "schema_digest", "page_size", "pages", "items", "empty_pages",
    "failing_since", "restarts", "turn", "tried_again", "outcome", "error", "next_try_at",
    "not_before", "stale_since", "begun_at", "read_at",
)  # fmt: skip
# Built once: building such a statement costs as much as running it, and these run for every page.
_SAVE: Final = (
    update(parts)
    .where(*(parts.c[name] == bindparam(f"of_{name}") for name in _KEY))
    .values({name: bindparam(name) for name in _WRITTEN})
)
_SEEN: Final = upsert(seen_cursors).on_conflict_do_nothing()


async def name(
    db: AsyncConnection,
    job: Job,
    found: Sequence[Part],
    *,
    provider: Provider,
    version: int,
    found_in: str | None = None,
) -> bool:
    """Add the parts that the page at ``version`` has named to the job's walk, each once.

    Return whether any is new to it. A part whose last walk was cut short resumes at its place,
    unless that is too old, and brings along the parts that it had named by then. Any other part
    starts from its beginning.
    """
    wanted, new = {one.id: (one, found_in) for one in found}, False
    while wanted:
        known = await _rows(db, job, wanted)
        taken: list[WalkedPart] = []
        resumed: list[WalkedPart] = []
        for part, where in wanted.values():
            before = known.get(part.id)
            if before is not None and before.job_id == job.id:
                continue
            goes_on = before is not None and _goes_on(before, job, provider)
            if before is not None and goes_on:
                resumed.append(before)
            elif before is not None:
                # A cursor that comes again in another walk is not a loop.
                await forget_cursors(db, before)
            one = _taken(before if goes_on else None, part, job, provider)
            one.position, one.found_in = version, where
            if before is not None:
                one.page_size = min(before.page_size, provider.page_size)
                one.stale_since = before.stale_since if before.outcome != "done" else before.read_at
            taken.append(one)
        children = await _children(db, resumed)
        if taken:
            new = True
            await db.execute(_UPSERT, [_to_row(one) for one in taken])
        wanted = {child.id: (child.part, child.found_in) for child in children}
    return new


async def due(db: AsyncConnection, job: Job) -> WalkedPart | None:
    """Return the part to read next, None when none is left or all that are left wait."""
    return await _first(db, job, parts.c.next_try_at <= clock.now(), parts.c.turn, parts.c.position)


async def first_to_wait_for(db: AsyncConnection, job: Job) -> WalkedPart | None:
    """Return the part whose wait ends first, None when no part waits."""
    return await _first(db, job, parts.c.next_try_at > 0, parts.c.next_try_at)


async def make_due(db: AsyncConnection, job: Job) -> bool:
    """Make every part due that the provider did not ask to wait; return whether one is due."""
    now = clock.now()
    waits = _of_walk(job) & (parts.c.next_try_at > now)
    allowed = case((parts.c.not_before > now, parts.c.not_before), else_=now)
    await db.execute(update(parts).where(waits).values(next_try_at=allowed))
    return await due(db, job) is not None


async def reopen_refused(db: AsyncConnection, job: Job) -> bool:
    """Let the refused parts be tried once more; return whether there are any."""
    refused = _of_walk(job) & (parts.c.outcome == "failed") & ~parts.c.tried_again
    again = update(parts).where(refused).values(outcome=None, tried_again=True, error="null")
    return (await db.execute(again)).rowcount > 0


async def save(db: AsyncConnection, part: WalkedPart) -> None:
    row = _to_row(part)
    values = {name: row[name] for name in _WRITTEN}
    await db.execute(_SAVE, values | {f"of_{name}": row[name] for name in _KEY})


async def is_new_cursor(db: AsyncConnection, part: WalkedPart, digest: bytes) -> bool:
    """Remember a cursor's digest; return False when the part's walk has met that cursor before."""
    of_part = {"connection_id": part.connection_id, "resource": part.resource, "part": part.id}
    return (await db.execute(_SEEN, {**of_part, "digest": digest})).rowcount == 1


async def forget_cursors(db: AsyncConnection, part: WalkedPart) -> None:
    mine = of_lane(seen_cursors, part) & (seen_cursors.c.part == part.id)
    await db.execute(delete(seen_cursors).where(mine))


async def forget_others(db: AsyncConnection, job: Job) -> None:
    """Forget the parts that the job's complete walk did not come across.

    The items found in them are queued to be asked for by id, so no later walk may resume them.
    """
    met = select(parts.c.id).where(_of_walk(job))
    for table, its_id in ((parts, parts.c.id), (seen_cursors, seen_cursors.c.part)):
        await db.execute(delete(table).where(of_lane(table, job), its_id.not_in(met)))


async def forget_lane(db: AsyncConnection, connection_id: str, resource: str) -> None:
    for table in (parts, seen_cursors):
        lane = (table.c.connection_id == connection_id) & (table.c.resource == resource)
        await db.execute(delete(table).where(lane))


async def floor(db: AsyncConnection, job: Job) -> int:
    """Return the lane's version when the oldest walk of the job's parts began.

    None of them found an item whose version is lower.
    """
    oldest = func.coalesce(func.min(parts.c.first_version), job.first_version or 0)
    return int((await db.execute(select(oldest).where(_of_walk(job)))).scalar_one())


async def oldest_page_at(db: AsyncConnection, job: Job) -> float | None:
    """Return when the oldest page of the job's walk was read, None before the first."""
    found: float | None = await db.scalar(select(func.min(parts.c.begun_at)).where(_of_walk(job)))
    return found


async def outcomes(db: AsyncConnection, job: Job) -> Parts:
    """Return how the parts of the job's walk ended, naming those not read completely."""
    by_outcome: Counter[str] = Counter()
    counts = select(parts.c.outcome, func.count()).where(_of_walk(job)).group_by(parts.c.outcome)
    for outcome, count in await db.execute(counts):
        by_outcome[outcome or "failed"] += count
    return Parts(
        total=sum(by_outcome.values()),
        by_outcome=dict(by_outcome),
        named=tuple(_outcome(part) for part in await not_whole(db, job)),
    )


async def get(db: AsyncConnection, job: Job, id_: str) -> WalkedPart | None:
    return (await _rows(db, job, [id_])).get(id_)


async def names(db: AsyncConnection, job: Job, ids: Iterable[str]) -> dict[str, str]:
    """Return id → name for those of ``ids`` that are known parts of the lane."""
    return {id_: row.name for id_, row in (await _rows(db, job, ids)).items()}


async def not_whole(db: AsyncConnection, job: Job) -> list[WalkedPart]:
    """Return the first parts that were not read completely, at most ``MOST_NAMED``."""
    flawed = _of_walk(job) & (parts.c.outcome.is_(None) | (parts.c.outcome != "done"))
    query = select(parts).where(flawed).order_by(parts.c.position, parts.c.id).limit(MOST_NAMED)
    return [_from_row(dict(row)) for row in (await db.execute(query)).mappings()]


async def anything_left(db: AsyncConnection, job: Job) -> bool:
    """Return True if a part of the walk is still open."""
    return (await db.execute(_open(job).limit(1))).first() is not None


async def anything_read(db: AsyncConnection, job: Job) -> bool:
    """Return True if a page of records was read, or a part without records was completed."""
    read = _of_walk(job) & ~parts.c.lists & ((parts.c.pages > 0) | (parts.c.outcome == "done"))
    return (await db.execute(select(parts.c.id).where(read).limit(1))).first() is not None


def _outcome(part: WalkedPart) -> PartOutcome:
    error = part.error or NOT_READ
    return PartOutcome(
        part=part.id,
        name=part.name,
        outcome=part.outcome or "failed",
        code=error.code,
        detail=error.detail,
        remedy=error.remedy,
        stale_since=None if part.stale_since is None else timestamp(part.stale_since),
    )


def _goes_on(before: WalkedPart, job: Job, provider: Provider) -> bool:
    young = before.read_at is not None and clock.now() - before.read_at < provider.checkpoint_s
    # A list is short, and its first pages may name parts that are new.
    return (
        young
        and before.generation == job.generation
        and before.cursor is not None
        and before.outcome in {None, "failed"}
        and not before.lists
    )


def _taken(before: WalkedPart | None, part: Part, job: Job, provider: Provider) -> WalkedPart:
    """Return the part for the job's walk, at the place of ``before`` or at its beginning."""
    taken = WalkedPart(
        connection_id=job.connection_id,
        resource=job.resource,
        id=part.id,
        name=part.name[:LONGEST_NAME].replace("\0", ""),
        lists=part.lists,
        schema_key=part.schema,
        found_in=None,
        position=0,
        generation=job.generation,
        job_id=job.id,
        first_version=job.first_version or 0,
        page_size=provider.page_size,
    )
    if before is not None:
        taken.cursor, taken.schema_digest = before.cursor, before.schema_digest
        taken.first_version, taken.read_at = before.first_version, before.read_at
        taken.begun_at = before.begun_at
    return taken


async def _rows(db: AsyncConnection, job: Job, ids: Iterable[str]) -> dict[str, WalkedPart]:
    lane = {"connection_id": job.connection_id, "resource": job.resource}
    rows = [row._mapping for row in await _NAMED.rows(db, lane, ids)]  # noqa: SLF001
    return {row["id"]: _from_row(dict(row)) for row in rows}


async def _children(db: AsyncConnection, resumed: Sequence[WalkedPart]) -> list[WalkedPart]:
    children: list[WalkedPart] = []
    for parent in resumed:
        theirs = of_lane(parts, parent) & (parts.c.found_in == parent.id)
        theirs &= parts.c.job_id == parent.job_id
        found = (await db.execute(select(parts).where(theirs))).mappings()
        children += [_from_row(dict(row)) for row in found]
    return children


def _of_walk(job: Job) -> ColumnElement[bool]:
    return of_lane(parts, job) & (parts.c.job_id == job.id)


def of_lane(table: Table, of: Job | WalkedPart) -> ColumnElement[bool]:
    return (table.c.connection_id == of.connection_id) & (table.c.resource == of.resource)


def _open(job: Job) -> Select[Any]:
    return select(parts).where(_of_walk(job), parts.c.outcome.is_(None))


async def _first(
    db: AsyncConnection, job: Job, which: ColumnElement[bool], *order: ColumnElement[Any]
) -> WalkedPart | None:
    first = _open(job).where(which).order_by(*order, parts.c.id).limit(1)
    row = (await db.execute(first)).mappings().first()
    return None if row is None else _from_row(dict(row))


def _to_row(part: WalkedPart) -> dict[str, Any]:
    part.turn = part.rank
    row = msgspec.structs.asdict(part)
    for column in ("cursor", "error"):
        row[column] = msgspec.json.encode(row[column]).decode()
    return row


def _from_row(row: dict[str, Any]) -> WalkedPart:
    row["cursor"] = msgspec.json.decode(row["cursor"] or "null", type=Cursor | None)
    row["error"] = msgspec.json.decode(row["error"] or "null", type=PartError | None)
    return WalkedPart(**row)
