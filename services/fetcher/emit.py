"""Turn a page's records into messages: one for each item that is new or has changed.

An object that could not be read is kept as a dead letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fetcher import known_items, truncated
from services.fetcher.context import FetcherContext, JobRun, LaneRun
from services.fetcher.jobs.queries import Job
from services.fetcher.known_items import KnownItem, LaneDigest, ReadItems
from services.fetcher.truncated import Cut, TruncatedItem, to_complete
from shared.connector import Gone, Lookup, Page, Record, Rejected
from shared.contracts import items
from shared.contracts.connections import Connection
from shared.contracts.envelope import Message, timestamp
from shared.contracts.items import MAX_BYTES, Item, ItemRef
from shared.contracts.progress import Receipt
from shared.contracts.topics import ITEMS, dead_letters
from shared.contracts.vocabulary import TombstoneReason
from shared.kafka.metrics import count_dead_letters

SORTED: Final = msgspec.json.Encoder(order="sorted")
PLAIN: Final = msgspec.json.Encoder()
LONGEST_NAME: Final = 10_000
"""The most characters that are sent of the name of an item that is too large to send whole."""
MALFORMED: Final = "malformed_record"
"""The receipt's reason for a dropped object; its dead letter says more."""
_DEAD_LETTERS: Final = dead_letters(ITEMS)


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Hold what we know of a page's records, by id.

    ``truncated`` has the rows of those that the provider truncates.
    """

    known: Mapping[str, KnownItem] = {}
    truncated: Mapping[str, TruncatedItem] = {}


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of a page, and what they change in our records.

    ``sent`` holds the ids of ``messages``, ``read`` what we know of the page's ids from now on.
    ``new`` counts the ids that this walk had not read before. ``cuts`` are the truncated records to
    complete; those that readers have whole are not among ``messages``. ``receipt`` is the job's
    receipt with this page added.
    """

    messages: list[Message]
    sent: tuple[str, ...]
    read: ReadItems
    new: int
    cuts: list[Cut]
    receipt: Receipt


async def known_before(db: AsyncConnection, job: Job, records: Sequence[Record]) -> Before:
    ids = [record.id for record in records]
    known = await known_items.known(db, job.connection_id, job.resource, ids)
    short = [record.id for record in records if record.truncated]
    return Before(known=known, truncated=await truncated.rows(db, job, short) if short else {})


def emission(
    run: JobRun, page: Page | Lookup, *, version: int, before: Before, always: bool = False
) -> Emission:
    """Compare the records of a page with what we know of them.

    With ``always``, those that have not changed are sent too.
    """
    job, source = run.job, run.source
    messages: dict[str, Message] = {}
    sent: list[KnownItem] = []
    kept: list[KnownItem] = []
    cuts: list[Cut] = []
    new = oversized = 0
    floor, at = job.first_version or 0, timestamp()
    here = run.part.id if run.part else None
    for record in _records(page, run.runtime.web_url):
        known = before.known.get(record.id)
        new += known is None or known.version < floor
        digest = content_digest(record)
        changed = always or known is None or known.digest != digest
        if record.truncated and run.completes:
            cut = to_complete(record, digest, known, before.truncated.get(record.id))
            cuts += [cut] if cut else []
            changed = cut is not None and not cut.whole
        read = KnownItem(record.id, digest, version, _owner(record) or here)
        (sent if changed else kept).append(read)
        if not changed:
            continue
        messages[record.id], size = _message(
            source, job, record, version=version, digest=digest, at=at
        )
        oversized += size > MAX_BYTES
    held = sum(cut.whole for cut in cuts)
    receipt = _added(job.receipt, page, emitted=len(messages), held=held, oversized=oversized)
    return Emission(
        messages=list(messages.values()),
        sent=tuple(messages),
        read=ReadItems(changed=sent, unchanged=kept, before=before.known),
        new=new,
        cuts=cuts,
        receipt=receipt,
    )


async def record(
    db: AsyncConnection, job: Job, emitted: Emission, *, lane: LaneDigest | None
) -> None:
    """Save what we know now of a page's records, and queue those to complete.

    ``lane`` is the lane's digest as of before they were sent; it may be None if none was.
    """
    await known_items.record(db, job.connection_id, job.resource, emitted.read, lane=lane)
    if emitted.cuts:
        await truncated.queue(db, job, emitted.cuts)


class Completed(NamedTuple):
    """The message of a completed record, its digest, and the job's receipt with it."""

    message: Message
    digest: bytes
    receipt: Receipt


def completed(run: JobRun, record: Record, *, version: int) -> Completed:
    (moved,) = _records(Lookup(records=[record]), run.runtime.web_url)
    digest, receipt = content_digest(moved), run.job.receipt
    message, size = _message(
        run.source, run.job, moved, version=version, digest=digest, at=timestamp()
    )
    more = msgspec.structs.replace(
        receipt,
        emitted=receipt.emitted + 1,
        oversized=receipt.oversized + (size > MAX_BYTES),
    )
    return Completed(message, digest, more)


def _owner(record: Record) -> str | None:
    """Return the part that the record says it belongs to, None if no database can hold its id."""
    return None if record.part is None or "\0" in record.part else record.part


def _records(page: Page | Lookup, web_url: str | None) -> list[Record]:
    """Return each object once, in the last form that the page gives.

    With a ``web_url`` (the sandbox's), links keep their path and query but lead there: a record
    that does not exist on the real site must never send people to it.
    """
    records = {record.id: record for record in page.records}.values()
    if web_url is None:
        return list(records)
    return [msgspec.structs.replace(record, url=_moved(record.url, web_url)) for record in records]


def _moved(url: str | None, web_url: str) -> str | None:
    if url is None:
        return None
    path = url.split("/", 3)[3:]  # all that follows the host
    return "/".join([web_url, *path])


def tombstone(
    run: LaneRun,
    id_: str,
    *,
    version: int,
    reason: TombstoneReason,
    merged_into: str | None = None,
) -> Message:
    """Return the message that deletes an item of the run's lane."""
    job = run.job
    return items.deletion(
        ItemRef(connection_id=job.connection_id, resource=job.resource, id=id_),
        org_id=run.source.org_id,
        generation=job.generation,
        version=version,
        reason=reason,
        merged_into=merged_into,
    )


def tombstones(run: LaneRun, gone: Sequence[Gone], *, version: int) -> list[Message]:
    """Return a message for each object that the provider says is gone, with its reason."""
    return [
        tombstone(run, one.id, version=version, reason=one.reason, merged_into=one.merged_into)
        for one in gone
    ]


async def send_dead_letters(
    run: JobRun, context: FetcherContext, rejected: Sequence[Rejected]
) -> None:
    """Keep the unreadable objects of a page as dead letters: their bytes and where they stood."""
    if not rejected:
        return
    await context.producer.send_all(
        [
            Message(
                topic=_DEAD_LETTERS,
                key=run.job.lane.encode(),
                value=one.raw[:MAX_BYTES],
                headers=(
                    (
                        "dlq_error",
                        f"{MALFORMED}: {one.reason}"[:1000].encode(errors="replace"),
                    ),
                    ("dlq_pointer", one.pointer[:1000].encode(errors="replace")),
                    ("dlq_service", b"fetcher"),
                    ("dlq_bytes", str(len(one.raw)).encode()),
                    ("org_id", run.source.org_id.encode()),
                ),
            )
            for one in rejected
        ]
    )
    count_dead_letters(ITEMS, len(rejected))


def content_digest(record: Record) -> bytes:
    """Return 16 bytes that change when the record's content changes, but not with its key order.

    The content is the record without ``part``, ``replaces`` and ``odd``. If its connector sets
    ``content``, that stands in for ``raw``.
    """
    fields = msgspec.structs.asdict(record)
    content = fields.pop("content")
    for whereabouts in ("part", "replaces", "odd"):
        del fields[whereabouts]
    if not record.truncated:
        # A complete item has the digest that it had before there was such a field.
        del fields["truncated"]
    if content is not None:
        fields["raw"] = content
    return blake2b(SORTED.encode(fields), digest_size=16).digest()


def _message(
    source: Connection, job: Job, record: Record, *, version: int, digest: bytes, at: str
) -> tuple[Message, int]:
    item = Item(
        id=record.id,
        resource=job.resource,
        connection_id=source.id,
        org_id=source.org_id,
        provider=source.provider,
        generation=job.generation,
        version=version,
        name=record.name,
        parent_id=record.parent_id,
        url=record.url,
        created_at=record.created_at,
        modified_at=record.modified_at,
        raw=record.raw,
        truncated=record.truncated,
    )
    value = PLAIN.encode(item)
    size = len(value)
    if size > MAX_BYTES:
        value = PLAIN.encode(
            msgspec.structs.replace(item, name=item.name[:LONGEST_NAME], raw=None, raw_bytes=size)
        )
    return items.upsert(item, value, digest=digest.hex(), at=at), size


def _added(
    receipt: Receipt, page: Page | Lookup, *, emitted: int, held: int, oversized: int
) -> Receipt:
    reasons = dict(receipt.drop_reasons)
    if page.rejected:
        reasons[MALFORMED] = reasons.get(MALFORMED, 0) + len(page.rejected)
    odd = Counter(receipt.odd_fields)
    for record in page.records:
        odd.update(record.odd)
    return msgspec.structs.replace(
        receipt,
        read=receipt.read + len(page.records) + len(page.rejected),
        emitted=receipt.emitted + emitted,
        unchanged=receipt.unchanged + len(page.records) - emitted - held,
        oversized=receipt.oversized + oversized,
        dropped=receipt.dropped + len(page.rejected),
        drop_reasons=reasons,
        odd_fields=dict(odd),
    )
