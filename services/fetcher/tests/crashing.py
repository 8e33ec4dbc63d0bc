"""Run a fetcher whose process may die between any two steps.

Tables and verbs are real; Kafka and the provider are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import select, update

from services.fetcher.context import FetcherContext
from services.fetcher.jobs import queries
from services.fetcher.jobs.queries import Job
from services.fetcher.plan import plan_connection, plan_refetch, plan_sync
from services.fetcher.reap import arrive
from services.fetcher.settings import Runtime
from services.fetcher.tables import jobs as rows
from services.fetcher.tables import known_items, lanes, metadata, outbox, parts
from services.fetcher.tests.counting import CountIndex
from services.fetcher.tests.reading import newest, version_of
from services.fetcher.worker import Worker
from shared.connector import (
    Bucket,
    Call,
    Cursor,
    Gone,
    Identity,
    Lookup,
    OAuth2,
    Original,
    Page,
    Part,
    PartSchema,
    Place,
    Provider,
    Record,
    Rejected,
    Resource,
    Span,
)
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import Message, timestamp
from shared.contracts.items import parse_key
from shared.contracts.jobs import RunJob
from shared.contracts.progress import JobProgress
from shared.contracts.syncs import RefetchItems, SyncRequested
from shared.contracts.topics import BACKGROUND_JOBS, ITEMS, JOBS, PROGRESS
from shared.db import Database, Schema
from shared.outbox import Relay
from tests.support.digests import lane_digest
from tests.support.waiting import turns

RESOURCES = ("apples", "pears")
PAGE = 3
ALSO = {JOBS: BACKGROUND_JOBS}
"""Both hold ``RunJob``s; one reader takes them in the order in which they arrived."""
TEMPLATE: list[bytes] = []
"""A migrated, empty database: migrating once is enough for a hundred crashes."""
MIGRATED: set[str] = set()
"""Schemas that were migrated before: they are emptied instead of created again."""


def orchard_of(resources: Iterable[str], **changes: Any) -> Provider:
    provider = Provider(
        slug="orchard",
        name="Orchard",
        api_url="http://127.0.0.1",
        oauth=OAuth2(
            authorize_url="", token_url="", identity=Identity(account_id=(), account_name=())
        ),
        resources=tuple(
            Resource(slug=slug, label=slug, original=Original(type=slug)) for slug in resources
        ),
        buckets=(Bucket(name="all", requests=1000, window_s=1),),
        setup_url="",
        consent_note="",
    )
    return msgspec.structs.replace(provider, **changes)


PROVIDER = orchard_of(RESOURCES)


class Killed(BaseException):
    """The process is gone, and nothing after this line runs."""


class Crashes:
    """Count the moments at which a process can die, and kill it at the chosen one."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.dead = False

    def moment(self) -> None:
        if self.dead:
            raise Killed
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.dead = True
                raise Killed


class Log:
    """Kafka in memory. An append stays even if its sender dies before it is acknowledged."""

    def __init__(self, crashes: Crashes, resources: Iterable[str]) -> None:
        self.messages: list[Message] = []
        self._resources = tuple(resources)
        self.gate: asyncio.Event | None = None
        """An event that blocks the append of items until it is set; None does not block."""
        self._crashes = crashes

    async def send_all(self, messages: Sequence[Message]) -> dict[int, int]:
        self._crashes.moment()
        if self.gate is not None and any(
            message.topic == ITEMS and message.value for message in messages
        ):
            await self.gate.wait()
        for message in messages:
            self.messages.append(message)
        self._crashes.moment()
        return {0: len(self.messages) - 1} if messages else {}

    def of(self, topic: str) -> list[Message]:
        return [message for message in self.messages if message.topic in {topic, ALSO.get(topic)}]

    def live_items(self) -> dict[str, dict[str, int]]:
        """Return resource → id → version, as a reader has them that keeps the greatest version."""
        found: dict[str, dict[str, int]] = {resource: {} for resource in self._resources}
        for (resource, id_), message in newest(self.of(ITEMS)).items():
            if message.value is not None:
                found[resource][id_] = version_of(message)
        return found

    def digests(self) -> dict[str, str]:
        """Return resource → digest of all its items, as the same reader computes it."""
        held: dict[str, dict[str, str]] = {resource: {} for resource in self._resources}
        for (resource, id_), message in newest(self.of(ITEMS)).items():
            if message.value is not None:
                held[resource][id_] = dict(message.headers)["digest"].decode()
        return {resource: lane_digest(digests) for resource, digests in held.items()}


class Orchard:
    """A provider in memory that pages through ``ids``; satisfies Connector."""

    def __init__(self, crashes: Crashes, counts: dict[str, int]) -> None:
        self.ids = {
            resource: list(map(f"{resource}-{{:03}}".format, range(count)))
            for resource, count in counts.items()
        }
        self.size = PAGE
        self.script: dict[str, Callable[[Cursor | None], Page]] = {}
        """Resource → a function that makes its pages instead."""
        self.roots: dict[str, tuple[Part, ...]] = {}
        """Resource → the parts with which its walk begins, if not the resource itself."""
        self.of_part: dict[str, Callable[[Cursor | None], Page]] = {}
        """Part → a function that makes its pages instead."""
        self.weighs: Callable[[Place], None] | None = None
        """Called with the place of each page that is asked for; may raise."""
        self.gate: asyncio.Event | None = None
        """An event that blocks pages until it is set; None does not block."""
        self.counts = CountIndex()
        self.of_missing: Literal["archived", "refused", "silent"] = "archived"
        """The answer about an object that is asked for by id and is not in ``ids``."""
        self.hidden: set[str] = set()
        """Ids that pages leave out although the objects exist."""
        self.of_ids: dict[str, Callable[[tuple[str, ...]], Lookup]] = {}
        """Resource → a function that answers when objects are asked for by id."""
        self.read_ids: list[tuple[str, ...]] = []
        self.reject = 0
        """The number of unreadable objects on each page."""
        self.asked: list[tuple[str, Cursor | None]] = []
        self._crashes = crashes

    def parts(self, resource: str) -> tuple[Part, ...]:
        return self.roots.get(resource, (Part(id=resource, name=f"the {resource}"),))

    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:
        return {}

    async def page(self, call: Call, resource: str, place: Place) -> Page:
        cursor = place.cursor
        self._crashes.moment()
        self.asked.append((resource, cursor))
        await turns()
        if self.gate is not None:
            await self.gate.wait()
        if self.weighs is not None:
            self.weighs(place)
        if place.part.id in self.of_part:
            return self.of_part[place.part.id](cursor)
        if resource in self.script:
            return self.script[resource](cursor)
        start, size = cursor["from"] if cursor else 0, min(self.size, place.size)
        chosen = self.ids[resource][start : start + size]
        following = {"from": start + size} if start + size < len(self.ids[resource]) else None
        return Page(
            records=[
                Record(id=id_, name=id_, raw={"id": id_})
                for id_ in chosen
                if id_ not in self.hidden
            ],
            cursor=following,
            rejected=[
                Rejected(pointer=f"/{n}", reason="odd", raw=b"{}") for n in range(self.reject)
            ],
        )

    async def count(self, call: Call, resource: str, span: Span | None = None) -> int | None:
        return await self.counts.count(resource, span)

    async def list_ids(self, call: Call, resource: str, span: Span) -> tuple[str, ...]:
        self._crashes.moment()
        return self.counts.list(resource, span)[: self.size]

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        self._crashes.moment()
        self.read_ids.append(ids)
        if resource in self.of_ids:
            return self.of_ids[resource](ids)
        there = [id_ for id_ in ids if id_ in self.ids[resource]]
        records = [Record(id=id_, name=id_, raw={"id": id_}) for id_ in there]
        missing = [id_ for id_ in ids if id_ not in there]
        if self.of_missing == "archived":
            gone = [Gone(id=id_, reason="archived") for id_ in missing]
            return Lookup(records=records, gone=gone)
        return Lookup(records=records, absent=missing if self.of_missing == "refused" else [])

    def problem(self, response: object) -> None:
        return None

    def limits(self, response: object) -> tuple[Bucket, ...]:
        return ()


class Fetcher:
    """A fetcher's process, its database, and what survives a crash."""

    def __init__(
        self,
        where: Path | Schema,
        counts: dict[str, int],
        *,
        provider: Provider | None = None,
        **changes: Any,
    ) -> None:
        """Prepare a fetcher in ``where``: a folder, a database file or a schema.

        ``changes`` replace fields of the worker's context.
        """
        self._changes = changes
        self.provider = provider or orchard_of(counts)
        self.crashes = Crashes()
        self.log = Log(self.crashes, counts)
        self.orchard = Orchard(self.crashes, counts)
        self.read = 0
        self.place = where / "fetcher.db" if isinstance(where, Path) and where.is_dir() else where
        self._fresh = isinstance(self.place, Schema) or not self.place.exists()
        self.database: Database
        self.context: FetcherContext
        self.worker: Worker
        self.relay: Relay

    async def boot(self) -> None:
        """Start a process on what the last one left behind."""
        self.crashes.dead, self.crashes.left = False, None
        if self._fresh:
            await self._made(self.place)
            self._fresh = False
        self.database = Database(self.place)
        self.database.on_commit(lambda _: self.crashes.moment())
        context = FetcherContext(
            database=self.database,
            producer=self.log,  # type: ignore[arg-type]  # Kafka in memory
            runtimes={"orchard": Runtime(provider=self.provider, client_id="c", api_url="")},
            connectors={"orchard": self.orchard},
            http={"orchard": None},  # type: ignore[dict-item]  # nothing is called
            quota=None,  # type: ignore[arg-type]  # nothing is called
            tokens=Tokenless(),  # type: ignore[arg-type]  # nothing is called
        )
        self.context = replace(context, **self._changes)
        self.worker = Worker(self.context, slots=4)
        # The log is Kafka in memory.
        self.relay = Relay(self.database, outbox, self.log)  # type: ignore[arg-type]
        await arrive(self.database, self.worker.id, alone=True)

    async def _made(self, place: Path | Schema) -> None:
        """Make empty tables at ``place``."""
        if isinstance(place, Path) and TEMPLATE:
            place.write_bytes(TEMPLATE[0])  # noqa: ASYNC240  # a test's own file
            return
        database = Database(place)
        if isinstance(place, Schema) and place.name in MIGRATED:
            async with database.write() as db:
                tables = ", ".join(table.name for table in metadata.sorted_tables)
                await db.exec_driver_sql(f"TRUNCATE {tables}")
        else:
            await database.migrate("services.fetcher:migrations")
        await database.close()
        if isinstance(place, Schema):
            MIGRATED.add(place.name)
        else:
            TEMPLATE.append(place.read_bytes())  # noqa: ASYNC240  # a test's own file

    async def kill(self) -> None:
        """Stop everything in the process; the database keeps what was committed."""
        self.crashes.dead = True
        await self.settle()
        await self.database.close()

    async def settle(self) -> None:
        """Wait for the runs to end."""
        if self.worker.runs:
            await asyncio.wait(self.worker.runs)
        await turns()

    async def connect(
        self,
        version: int,
        *,
        status: str = "active",
        generation: int = 1,
        resources: tuple[str, ...] | None = None,
        sync: str | None = None,
        installed: bool = True,
    ) -> None:
        snapshot = Connection(
            id="conn",
            version=version,
            generation=generation,
            org_id="org",
            user_id="user",
            provider="orchard",
            client_id="c",
            account=Account(id="a"),
            status=status,  # type: ignore[arg-type]  # one of the statuses
            resources=tuple(self.orchard.ids) if resources is None else resources,
            token_version=1,
            sync_id=sync or f"sync-{version}",
            created_at=timestamp(0),
            updated_at=timestamp(0),
        )
        async with self.database.write(lock="conn") as db:
            providers = {"orchard": self.provider} if installed else {}
            await plan_connection(db, snapshot, providers=providers)

    async def ask(self, sync: str, connection: str = "conn") -> None:
        request = SyncRequested(sync_id=sync, connection_id=connection, requested_at=timestamp(0))
        async with self.database.write(lock=connection) as db:
            await plan_sync(db, request, providers={"orchard": self.provider})

    async def refetch(self, resource: str, *ids: str) -> None:
        request = RefetchItems(connection_id="conn", resource=resource, ids=ids, highest_version=0)
        async with self.database.write(lock="conn") as db:
            await plan_refetch(db, request, providers={"orchard": self.provider})

    async def relay_once(self) -> None:
        await self.relay.send_due()

    async def deliver(self, *, commit: bool = True) -> None:
        """Hand the next ``RunJob`` to the worker; without ``commit`` it will come again."""
        waiting = self.log.of(JOBS)[self.read :]
        if waiting and waiting[0].value is not None:
            await self.worker.take(
                msgspec.json.decode(waiting[0].value, type=RunJob), connection_id="conn"
            )
            self.read += commit

    def lose_patience(self) -> None:
        """Give up everything at its first failure from now on."""
        object.__setattr__(self.context, "give_up_after_s", 0.0)

    async def time_passes(self) -> None:
        async with self.database.write() as db:
            await db.execute(update(outbox).values(not_before=0.0))
            waiting = parts.c.next_try_at > 0
            await db.execute(update(parts).where(waiting).values(next_try_at=1.0))

    async def run_until_over(self) -> None:
        for _ in range(400):
            await self.time_passes()
            await self.relay_once()
            if not await self.unfinished():
                await self.relay_once()
                await self.assert_digests_add_up()
                return
            while self.read < len(self.log.of(JOBS)):
                await self.deliver()
            await self.settle()
        raise AssertionError("the jobs never end")

    async def assert_digests_add_up(self) -> None:
        """Compare the digest in each lane's row with the sum over the lane's known items."""
        async with self.database.read() as db:
            held = (await db.execute(select(known_items))).all()
            for lane in (await db.execute(select(lanes))).all():
                mine = [one for one in held if one[:2] == (lane.connection_id, lane.resource)]
                digests = {one.id: one.digest.hex() for one in mine if one.digest}
                found = lane.digest, lane.invalidated
                assert found == (lane_digest(digests), len(mine) - len(digests)), lane.resource

    async def assert_readers_agree(self) -> None:
        """Compare the digest in each lane's row with the sum over the topic."""
        digests = self.log.digests()
        async with self.database.read() as db:
            for lane in (await db.execute(select(lanes))).all():
                assert (lane.digest, lane.invalidated) == (digests[lane.resource], 0)

    async def unfinished(self) -> list[Job]:
        async with self.database.read() as db:
            return await queries.find(db, rows.c.state != "over")

    async def stranded(self) -> list[str]:
        """Return the unfinished jobs that are stuck for ever.

        Every other job is dispatched, running, or waits behind another one.
        """
        found = []
        async with self.database.read() as db:
            sent = select(outbox.c.value).where(outbox.c.topic.in_((JOBS, BACKGROUND_JOBS)))
            pending = (await db.execute(sent)).scalars().all()
            holders = {
                (lane.connection_id, lane.resource): lane.job_id
                for lane in (await db.execute(select(lanes))).all()
            }
            unfinished = await queries.find(db, rows.c.state != "over")
        unread = [message.value for message in self.log.of(JOBS)[self.read :]]
        on_the_way = set()
        for raw in [*pending, *unread]:
            if raw:
                message = msgspec.json.decode(raw, type=RunJob)
                on_the_way.add((message.job_id, message.dispatch))
        for job in unfinished:
            in_work = job.state == "running" and job.worker_id == self.worker.id
            others = [
                other for other in unfinished if other.id != job.id and other.lane == job.lane
            ]
            holder = holders[job.connection_id, job.resource]
            taker = any(
                other.id == holder
                or (holder is None and other.state in {"ready", "awaiting_slot"})
                or queries.any_before(job, [other])
                for other in others
            )
            behind = job.state == "awaiting_lane" and taker
            ready = job.state in {"ready", "waiting"} and (job.id, job.dispatch) in on_the_way
            slot = job.state == "awaiting_slot" and any(
                other.state in {"ready", "running"} for other in unfinished
            )
            if [in_work, behind, ready, slot].count(True) != 1:
                found.append(f"{job.id} {job.resource} {job.state} dispatch {job.dispatch}")
        return found

    def newest_progress(self) -> dict[tuple[str, str], JobProgress]:
        """Return (sync, resource) → the event with the highest step."""
        newest: dict[tuple[str, str], JobProgress] = {}
        for message in self.log.of(PROGRESS):
            body = msgspec.json.decode(message.value or b"", type=JobProgress)
            if (body.sync_id, body.resource) not in newest or newest[
                body.sync_id, body.resource
            ].step < body.step:
                newest[body.sync_id, body.resource] = body
        return newest

    async def all_jobs(self) -> list[Job]:
        async with self.database.read() as db:
            return await queries.find(db)

    def sent(self, topic: str, since: int = 0) -> Mapping[str, list[bool]]:
        """Return id → its messages from ``since``: True for an item, False for a deletion."""
        found: dict[str, list[bool]] = {}
        for message in self.log.messages[since:]:
            if message.topic == topic:
                found.setdefault(parse_key(message.key).id, []).append(message.value is not None)
        return found

    async def attempt(self, doing: object) -> None:
        """Take a step that may kill the process; if it did, start the next process."""
        with suppress(Killed):
            await doing  # type: ignore[misc]  # a coroutine
        if self.crashes.dead:
            await self.kill()
            await self.boot()


class Tokenless:
    def forget(self, connection: str) -> None:
        pass
