"""Queue the items that were missing when their part was read completely, to ask for them by id.

That an item is missing from a list proves nothing, so it stays as it is until the provider is asked
for it by its id. Each lane has a queue; it first asks for what was asked least recently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import parts, unreached
from services.fetcher.jobs.queries import Job
from services.fetcher.tables import known_items, unconfirmed
from services.fetcher.tables import parts as part_rows
from shared import clock
from shared.connector import Gone
from shared.db import in_array, json_array

ASK_AGAIN_S: Final = 3600.0
"""Seconds before an item is asked for again. Many deletions need two answers this far apart."""
POSTPONED_S: Final = 300.0
"""Seconds before an item is asked for again whose lookup the provider failed to answer."""
FRESH_S: Final = 600.0
"""Seconds for which a refusal is taken for what the provider would say now. Items that came back
since would be deleted on an older one."""
CONTROLS: Final = 2
"""Items that a walk has found, to be asked for together with those that it has not. One of them
may be deleted meanwhile."""
OTHERS: Final = 20
"""Parts in which controls are looked for where an item's own part has none."""
HOLD_COUNT: Final = 100
HOLD_SHARE: Final = 5
"""Deletions of items that are merely no longer visible are held when there are more than
``HOLD_COUNT`` of them and they are more than one ``HOLD_SHARE``th of their part.

People do delete a hundred items at once, or half of ten. But when sharing was changed by mistake,
an account refuses nearly everything.
"""
DELETE_AT_ONCE: Final = 500
"""Deletions per checkpoint. A run may end between two checkpoints."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An item in the queue. ``merged_into`` is the item that says this one was merged into it."""

    id: str
    part: str | None
    merged_into: str | None = None


_KEY: Final = ("connection_id", "resource", "id")
_NEW: Final = upsert(unconfirmed)
_FORGET: Final = delete(unconfirmed).where(
    *(unconfirmed.c[name] == bindparam(f"of_{name}") for name in _KEY)
)
_ASKED: Final = (
    update(unconfirmed)
    .where(*(unconfirmed.c[name] == bindparam(f"of_{name}") for name in _KEY))
    .values(
        asked_at=bindparam("now"),
        absent_since=func.coalesce(unconfirmed.c.absent_since, bindparam("now")),
    )
)
_POSTPONED: Final = (
    update(unconfirmed)
    .where(*(unconfirmed.c[name] == bindparam(f"of_{name}") for name in _KEY))
    .values(asked_at=bindparam("now"))
)
_NOTHING_LEARNED: Final = (
    update(unconfirmed)
    .where(*(unconfirmed.c[name] == bindparam(f"of_{name}") for name in _KEY))
    .values(asked_at=bindparam("now"), absent_since=null())
)


async def add_missing(db: AsyncConnection, job: Job, *, whole: bool) -> None:
    """Queue what the walk did not find although it read the item's part completely.

    ``whole`` means that the walk has read all of its parts completely.
    """
    await forget_found(db, job)
    floor = job.first_version or 0
    suspects = select(known_items.c.id).where(_known(job), known_items.c.version < floor).limit(1)
    if (await db.execute(suspects)).first() is None:
        return
    met = and_(
        part_rows.c.connection_id == known_items.c.connection_id,
        part_rows.c.resource == known_items.c.resource,
        part_rows.c.id == known_items.c.part,
        part_rows.c.job_id == job.id,
    )
    read_whole = exists().where(
        met, part_rows.c.outcome == "done", known_items.c.version < part_rows.c.first_version
    )
    await _queue(db, _known(job) & (known_items.c.version < floor) & read_whole)
    oldest = await parts.floor(db, job)
    orphan = _known(job) & (known_items.c.version < oldest) & ~exists().where(met)
    if whole:
        await _queue(db, orphan)
        return
    confirmed = await unreached.no_longer_named(db, job)
    if confirmed:
        owned = in_array(known_items.c.part, bindparam("owners", type_=Text))
        await _queue(db, orphan & owned, owners=json_array(confirmed))


async def add_merged(db: AsyncConnection, job: Job, merged: Sequence[Gone]) -> None:
    """Queue those of the merged items that readers still have."""
    for one in merged:
        mine = _known(job) & (known_items.c.id == one.id)
        await _queue(db, mine, merged_into=one.merged_into)


async def forget_found(db: AsyncConnection, job: Job) -> None:
    """Remove from the queue what was read again since, or what readers no longer have."""
    await db.execute(delete(unconfirmed).where(_lane(job), ~_not_read_since()))


def _not_read_since() -> ColumnElement[bool]:
    """Return the condition that readers have an item, and that nothing has read it again."""
    return exists().where(
        known_items.c.connection_id == unconfirmed.c.connection_id,
        known_items.c.resource == unconfirmed.c.resource,
        known_items.c.id == unconfirmed.c.id,
        known_items.c.version <= unconfirmed.c.version,
    )


async def forget(db: AsyncConnection, job: Job, ids: Sequence[str]) -> None:
    if ids:
        await db.execute(_FORGET, [_of(job, id_) for id_ in ids])


async def forget_lane(db: AsyncConnection, job: Job) -> None:
    await db.execute(delete(unconfirmed).where(_lane(job)))


async def next_to_ask(
    db: AsyncConnection, job: Job, *, asked_before: float, most: int
) -> list[Missing]:
    """Return the items to ask for next, all of one part, those asked least recently first."""
    due = _lane(job) & (unconfirmed.c.asked_at < asked_before)
    oldest = select(unconfirmed.c.part).where(due).order_by(*_AGE).limit(1)
    first = (await db.execute(oldest)).first()
    if first is None:
        return []
    same = unconfirmed.c.part == first.part if first.part else unconfirmed.c.part.is_(None)
    rows = select(unconfirmed.c.id, unconfirmed.c.part, unconfirmed.c.merged_into)
    found = await db.execute(rows.where(due, same).order_by(*_AGE).limit(most))
    return [Missing(**row) for row in found.mappings()]


async def note_answers(
    db: AsyncConnection, job: Job, *, absent: Sequence[str], unknown: Sequence[str]
) -> None:
    """Remember which ids the provider refused, and about which we learned nothing."""
    now = clock.now()
    if absent:
        await db.execute(_ASKED, [{**_of(job, id_), "now": now} for id_ in absent])
    if unknown:
        await db.execute(_NOTHING_LEARNED, [{**_of(job, id_), "now": now} for id_ in unknown])


async def postpone(db: AsyncConnection, job: Job, ids: Sequence[str]) -> None:
    """Let others be asked for before these, of which the provider gave no answer."""
    at = clock.now() - ASK_AGAIN_S + POSTPONED_S
    if ids:
        await db.execute(_POSTPONED, [{**_of(job, id_), "now": at} for id_ in ids])


async def controls(db: AsyncConnection, job: Job, part: str | None) -> list[str]:
    """Return some items that the lane's last walk has found, in the same part if there are any.

    Otherwise they are of different parts that were read whole: one of those may be refused by now.
    """
    seen = part_rows.c.first_version <= known_items.c.version
    mine = and_(
        part_rows.c.connection_id == known_items.c.connection_id,
        part_rows.c.resource == known_items.c.resource,
        part_rows.c.id == known_items.c.part,
    )
    queued = exists().where(
        unconfirmed.c.connection_id == known_items.c.connection_id,
        unconfirmed.c.resource == known_items.c.resource,
        unconfirmed.c.id == known_items.c.id,
    )
    any_seen = select(known_items.c.id).join(part_rows, mine).where(_known(job), seen, ~queued)
    beside = any_seen.where(known_items.c.part == part).limit(CONTROLS)
    found = list((await db.execute(beside)).scalars())
    others = [] if found else await _read_whole(db, job)
    for other in others:
        query = any_seen.where(known_items.c.part == other).limit(1)
        found += (await db.execute(query)).scalars()
        if len(found) == CONTROLS:
            break
    return found


async def _read_whole(db: AsyncConnection, job: Job) -> Sequence[str]:
    """Return parts of the lane that were read whole and held something, the newest first."""
    done = (part_rows.c.outcome == "done") & ~part_rows.c.lists & (part_rows.c["items"] > 0)
    query = select(part_rows.c.id).where(parts.of_lane(part_rows, job), done)
    query = query.order_by(part_rows.c.read_at.desc(), part_rows.c.id)
    return list((await db.execute(query.limit(OTHERS))).scalars())


async def to_delete(db: AsyncConnection, job: Job) -> list[str]:
    """Return the next ids that were refused just now and whose deletion is not held.

    What a person has confirmed may have been refused before.
    """
    free: list[str | None] = []
    held: list[str | None] = []
    for one in await _by_part(db, job):
        (free if one.free else held).append(one.part)
    refused = _lane(job) & unconfirmed.c.absent_since.is_not(None) & _not_read_since()
    fresh = unconfirmed.c.asked_at >= clock.now() - FRESH_S
    again = unconfirmed.c.asked_at - unconfirmed.c.absent_since >= ASK_AGAIN_S
    allowed = fresh & or_(_in_parts(free), _in_parts(held) & again) | unconfirmed.c.confirmed
    query = select(unconfirmed.c.id).where(refused, allowed).order_by(unconfirmed.c.id)
    return list((await db.execute(query.limit(DELETE_AT_ONCE))).scalars())


async def confirm(db: AsyncConnection, connection_id: str, resource: str, *, part: str) -> bool:
    """Release the deletions of a part; return whether there are any.

    What the provider was not asked for yet is deleted as soon as it is refused.
    """
    queued = and_(
        unconfirmed.c.connection_id == connection_id,
        unconfirmed.c.resource == resource,
        unconfirmed.c.part == part,
    )
    let_go = update(unconfirmed).where(queued).values(confirmed=True)
    return (await db.execute(let_go)).rowcount > 0


async def held(db: AsyncConnection, job: Job) -> list[tuple[str, int]]:
    """Return each part with held deletions, and how many of its items are in the queue."""
    return [
        (one.part, one.queued)
        for one in await _by_part(db, job)
        if one.part is not None and not one.free
    ]


async def count(db: AsyncConnection, job: Job) -> int:
    query = select(func.count()).select_from(unconfirmed).where(_lane(job))
    return int((await db.execute(query)).scalar_one())


class _OfPart(msgspec.Struct, frozen=True):
    part: str | None
    queued: int
    unasked: int
    refused: int
    known: int

    @property
    def free(self) -> bool:
        """Return True if the part's deletions are few enough not to be held."""
        few = self._few(self.queued)
        return few or (not self.unasked and self._few(self.refused))

    def _few(self, number: int) -> bool:
        return number <= HOLD_COUNT or number * HOLD_SHARE <= self.known


async def _by_part(db: AsyncConnection, job: Job) -> list[_OfPart]:
    counts = select(
        unconfirmed.c.part,
        func.count().label("queued"),
        func.count().filter(unconfirmed.c.asked_at == 0).label("unasked"),
        func.count(unconfirmed.c.absent_since).label("refused"),
    )
    found = []
    for row in (await db.execute(counts.where(_lane(job)).group_by(unconfirmed.c.part))).all():
        known = 0
        if row.queued > HOLD_COUNT:
            mine = known_items.c.part == row.part if row.part else known_items.c.part.is_(None)
            query = select(func.count()).select_from(known_items).where(_known(job), mine)
            known = int((await db.execute(query)).scalar_one())
        found.append(_OfPart(row.part, row.queued, row.unasked, row.refused, known))
    return found


async def _queue(
    db: AsyncConnection,
    where: ColumnElement[bool],
    *,
    merged_into: str | None = None,
    **given: Any,
) -> None:
    rows: Select[Any] = select(
        known_items.c.connection_id,
        known_items.c.resource,
        known_items.c.id,
        known_items.c.part,
        known_items.c.version,
        literal(clock.now()),
        literal(0.0),
        literal(merged_into),
        literal(False),  # noqa: FBT003  # the column's value
    ).where(where)
    names = ["connection_id", "resource", "id", "part", "version"]
    names += ["since", "asked_at", "merged_into", "confirmed"]
    new = upsert(unconfirmed).from_select(names, rows)
    if merged_into is None:
        new = new.on_conflict_do_nothing()
    else:
        changed = {"merged_into": new.excluded.merged_into}
        new = new.on_conflict_do_update(index_elements=list(_KEY), set_=changed)
    await db.execute(new, given or None)


_AGE: Final = (unconfirmed.c.asked_at, unconfirmed.c.id)


def _in_parts(ids: Sequence[str | None]) -> ColumnElement[bool]:
    named = unconfirmed.c.part.in_([id_ for id_ in ids if id_ is not None])
    return or_(named, unconfirmed.c.part.is_(None)) if None in ids else named


def _lane(job: Job) -> ColumnElement[bool]:
    return and_(
        unconfirmed.c.connection_id == job.connection_id, unconfirmed.c.resource == job.resource
    )


def _known(job: Job) -> ColumnElement[bool]:
    return and_(
        known_items.c.connection_id == job.connection_id, known_items.c.resource == job.resource
    )


def _of(job: Job, id_: str) -> dict[str, str]:
    return {"of_connection_id": job.connection_id, "of_resource": job.resource, "of_id": id_}
