"""However the fetcher dies, no job is stranded, nothing is lost, nothing is counted twice."""

from __future__ import annotations

import asyncio
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.fetcher.tests.crashing import RESOURCES, Fetcher, Orchard
from shared.connector import Cursor, Page, Part, Record, RetryLater
from shared.db import Schema

COUNTS = {"apples": 10, "pears": 4}
TABLES = 3
step = st.sampled_from(
    ["deliver", "deliver", "repeat", "relay", "time", "ask", "refetch", "settle"]
)
schedule = st.lists(st.tuples(step, st.none() | st.integers(0, 12)), min_size=4, max_size=14)


def in_tables(orchard: Orchard) -> None:
    """Put the apples into three tables, named by a list; each is away when it is first asked."""

    def page(table: int, cursor: Cursor | None) -> Page:
        if table not in met:
            met.add(table)
            raise RetryLater("Orchard is not available (status 502).", after_s=60.0)
        ids = orchard.ids["apples"][table::TABLES]
        start = cursor["from"] if cursor else 0
        records = [Record(id=id_, name=id_, raw={"id": id_}) for id_ in ids[start : start + 2]]
        return Page(records=records, cursor={"from": start + 2} if start + 2 < len(ids) else None)

    met: set[int] = set()
    tables = tuple(Part(id=f"{table}", name=f"table {table}") for table in range(TABLES))
    orchard.roots["apples"] = (Part(id="list", name="the list of tables", lists=True),)
    orchard.of_part["list"] = lambda _: Page(records=[], cursor=None, parts=tables)
    for table in range(TABLES):
        orchard.of_part[f"{table}"] = partial(page, table)


async def follow(home: Path | Schema, steps: list[tuple[str, int | None]]) -> Fetcher:
    fetcher = Fetcher(home, COUNTS)
    in_tables(fetcher.orchard)
    await fetcher.boot()
    await fetcher.connect(1)
    asked = 0
    for name, dies_at in steps:
        fetcher.crashes.left = dies_at
        asked += name == "ask"
        doing = {
            "deliver": fetcher.deliver,
            "repeat": lambda: fetcher.deliver(commit=False),
            "relay": fetcher.relay_once,
            "time": fetcher.time_passes,
            "ask": lambda: fetcher.ask(f"asked-{asked}"),  # noqa: B023  # called at once
            "refetch": lambda: fetcher.refetch("apples", fetcher.orchard.ids["apples"][0]),
            "settle": fetcher.settle,
        }[name]
        await fetcher.attempt(doing())
        fetcher.crashes.left = None
        assert await fetcher.stranded() == []
    await fetcher.settle()
    await fetcher.attempt(fetcher.settle())
    await fetcher.run_until_over()
    await fetcher.assert_readers_agree()
    return fetcher


async def followed(home: Path | Schema, steps: list[tuple[str, int | None]]) -> Fetcher:
    fetcher = await follow(home, steps)
    await fetcher.database.close()
    return fetcher


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(schedule)
def test_any_schedule_of_crashes_strands_no_job_and_loses_no_item(
    steps: list[tuple[str, int | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_complete(asyncio.run(followed(Path(folder), steps)))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=schedule)
def test_nor_does_one_on_postgresql(
    schema_of_module: Schema, steps: list[tuple[str, int | None]]
) -> None:
    assert_complete(asyncio.run(followed(schema_of_module, steps)))


def assert_complete(fetcher: Fetcher) -> None:
    live = fetcher.log.live_items()
    for resource in RESOURCES:
        assert sorted(live[resource]) == fetcher.orchard.ids[resource]
    digests = fetcher.log.digests()
    for progress in fetcher.newest_progress().values():
        assert progress.state == "done"
        assert progress.receipt is not None
        # No later job has changed anything: what is refetched here has the content it had.
        assert progress.receipt.digest in {digests[progress.resource], None}
        # An apple that is refetched while the walk waits is not counted by the walk.
        most = COUNTS[progress.resource]
        assert most - (progress.resource == "apples") <= progress.items <= most


async def test_a_purge_deletes_every_item_whenever_the_process_dies(tmp_path: Path) -> None:
    for dies_at in range(14):
        folder = tmp_path / str(dies_at)
        folder.mkdir()
        fetcher = await follow(folder, [("relay", None), ("deliver", None)])
        await fetcher.connect(2, status="disconnected")
        for name in (fetcher.relay_once, fetcher.deliver, fetcher.settle):
            fetcher.crashes.left = dies_at
            await fetcher.attempt(name())
        fetcher.crashes.left = None
        await fetcher.run_until_over()
        assert fetcher.log.live_items() == {resource: {} for resource in RESOURCES}
        await fetcher.assert_readers_agree()
        await fetcher.database.close()


async def test_a_second_load_sends_nothing_that_is_unchanged_and_deletes_what_is_gone(
    tmp_path: Path,
) -> None:
    fetcher = await follow(tmp_path, [])
    before = len(fetcher.log.messages)
    apples = fetcher.orchard.ids["apples"]
    gone, apples[4] = apples[4], "apples-new"
    await fetcher.ask("again")
    await fetcher.run_until_over()
    items = [
        message
        for message in fetcher.log.messages[before:]
        if message.topic.startswith("tributary.items")
    ]
    assert sorted((message.key, message.value is None) for message in items) == [
        (f"conn/apples/{gone}".encode(), True),
        (b"conn/apples/apples-new", False),
    ]
    await fetcher.database.close()
