"""Kafka is away, full, repeated, shuffled or poisoned."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from deploy.localkafka.tests.harness import create_topic
from shared.contracts.topics import (
    CONNECTIONS,
    INSTALLATION,
    ITEMS,
    JOBS,
    PROGRESS,
    SYNCS,
    TOPICS,
    dead_letters,
)
from shared.kafka.installation_record import write_installation
from shared.settings import Cluster
from tests.chaos import log
from tests.chaos.limits import disk_full
from tests.chaos.load import Load, begin, held, pace, released
from tests.chaos.log import Raw
from tests.chaos.modes import BlackHole, Drop
from tests.chaos.stack import Stack
from tests.chaos.topic import Topic
from tests.support import forks
from tests.support.client import ENDED
from tests.support.variations import variations
from tests.support.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.e2e

DOWN_S = 5.0
LONG = {"companies": 600, "contacts": 600, "deals": 600}
POISONED = b"nobody/contacts/1"
PUBLIC = (ITEMS, PROGRESS, CONNECTIONS, SYNCS, JOBS)


@contextmanager
def killed(running: Stack) -> Iterator[None]:
    running["broker"].kill()
    yield
    running["broker"].start()


@contextmanager
def frozen(running: Stack) -> Iterator[None]:
    running["broker"].pause()
    yield
    running["broker"].resume()


@contextmanager
def dropped(running: Stack) -> Iterator[None]:
    with running.proxies["broker"].being(Drop()):
        yield


@contextmanager
def silent(running: Stack) -> Iterator[None]:
    with running.proxies["broker"].being(BlackHole()):
        yield


@pytest.mark.parametrize(
    "away", [silent, *variations(killed, frozen, dropped)], ids=lambda away: away.__name__
)
def test_F06_while_the_broker_is_away_reads_and_requests_are_answered_and_all_runs_afterwards(
    running: Stack, topic: Topic, away: Callable[[Stack], Any]
) -> None:
    """R4 in short; ``python -m tests.chaos`` measures the minute that it asks for."""
    known = begin(running)
    known.done()
    pace(running, latency_ms=150)
    held(running)
    load = begin(running, LONG)
    load.under_way()
    with away(running):
        released(running)
        until = time.monotonic() + DOWN_S
        known.again()
        while time.monotonic() < until:
            assert len(list(running.client.items(known.id, "deals"))) == known.counts["deals"]
    pace(running)
    come = load.items()
    eventually(lambda: load.items() > come or load.state()["state"] == "done", every=0.05)
    for one in (known, load):
        one.done()
        one.clean(topic)


def test_F07_a_broker_that_cannot_write_acknowledges_nothing_and_the_page_is_tried_again(
    running: Stack, topic: Topic
) -> None:
    pace(running, latency_ms=150)
    held(running)
    load = begin(running, LONG)
    load.under_way()
    with disk_full(running["broker"]):
        released(running)
        time.sleep(3)
        assert load.state()["state"] not in ENDED
    if not running["broker"].alive:
        running["broker"].start()
    pace(running)
    load.done()
    load.clean(topic)


@pytest.fixture
def bare(running: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a broker on which nothing of ours has been set up."""
    made = Stack(tmp_path_factory.mktemp("bare"))
    try:
        made.start_all("broker")
        yield made
    finally:
        made.close()


def test_F08_without_its_topics_a_service_refuses_to_start_and_makes_none(bare: Stack) -> None:
    for name in ("auth", "fetcher1", "gateway"):
        bare[name].start(wait=False)
        assert bare[name].wait() != 0
        said = bare[name].said()
        assert "tributary." in said, said
        assert "deploy.setup" in said, said
        assert "Traceback" not in said, said
    admin = AdminClient({"bootstrap.servers": bare.client.bootstrap})
    assert not [
        name
        for name in admin.list_topics(timeout=PATIENCE_S).topics
        if name.startswith("tributary.")
    ]


def test_F08_a_topic_with_too_few_partitions_is_refused_in_words(bare: Stack) -> None:
    asyncio.run(_set_up_by_somebody_else(bare.client.bootstrap))
    done = forks.run("deploy.setup", "--local-broker", cwd=bare.folder, env=bare.environment())
    assert done.returncode != 0
    assert ITEMS in done.stderr
    assert "1 partition" in done.stderr
    assert "Traceback" not in done.stderr


async def _set_up_by_somebody_else(bootstrap: str) -> None:
    """Create topics with our layout, except that the items topic has too few partitions."""
    await create_topic(bootstrap, INSTALLATION)
    await write_installation(Cluster(bootstrap=bootstrap), "of somebody else")
    await create_topic(bootstrap, ITEMS, partitions=1)


def seen(load: Load) -> tuple[list[dict[str, Any]], dict[str, Any], int]:
    """Return all that a customer can see of a load, and what the provider was asked for."""
    return list(load.stack.client.items(load.id)), load.state(), sum(load.pages().values())


@pytest.mark.variation
def test_F13_every_message_three_times_changes_nothing(running: Stack, topic: Topic) -> None:
    load = begin(running)
    load.done()
    load.again()
    load.done()
    log.caught_up(running.client.bootstrap, *PUBLIC)
    before = seen(load)
    for name in PUBLIC:
        mine = of(load, log.read(running.client.bootstrap, name))
        assert mine, name
        log.append(running.client.bootstrap, [again for one in mine for again in (one, one)])
    log.caught_up(running.client.bootstrap, *PUBLIC)
    assert seen(load) == before
    load.clean(topic)


def of(load: Load, records: list[Raw]) -> list[Raw]:
    """Return the messages about its connection."""
    return [one for one in records if load.id.encode() in (one.key or b"") + (one.value or b"")]


@pytest.mark.variation
def test_F14_old_messages_after_new_ones_change_nothing_and_the_topic_is_put_right(
    running: Stack, topic: Topic, chance: random.Random
) -> None:
    """Shuffle over partitions and within keys; compaction would keep the newest content."""
    load = begin(running)
    load.done()
    load.change(update=0.5, archive=0.05, create=0.05)
    load.again()
    load.done()
    log.caught_up(running.client.bootstrap, *PUBLIC)
    items, state, _ = seen(load)
    for name in PUBLIC:
        mine = of(load, log.read(running.client.bootstrap, name))
        chance.shuffle(mine)
        log.append(running.client.bootstrap, mine)
    log.caught_up(running.client.bootstrap, *PUBLIC)
    # The services compare once a minute. The next test begins when all of them are ready.
    running.clock.move(seconds=70)
    now = {(item["resource"], item["id"]): item for item in running.client.items(load.id)}
    assert now.keys() == {(item["resource"], item["id"]) for item in items}
    for item in items:
        assert now[item["resource"], item["id"]]["version"] >= item["version"]
        assert now[item["resource"], item["id"]]["raw"] == item["raw"]
    assert load.state() == state
    load.becomes_clean(topic)


def test_T24_R6_poison_becomes_a_dead_letter_and_what_follows_is_read_within_two_seconds(
    running: Stack, topic: Topic
) -> None:
    load = begin(running)
    load.done()
    last = of(load, log.read(running.client.bootstrap, ITEMS))[-1]
    poison = replace(
        last, key=POISONED, value=b'{"broken": ', headers=(*last.headers, ("why", b"test"))
    )
    version = str(int(dict(last.headers)["version"]) + 1).encode()
    others = [header for header in last.headers if header[0] != "version"]
    headers = (*others, ("version", version))
    assert last.value is not None
    following = replace(
        last, value=last.value.replace(b'"name":"', b'"name":"After '), headers=headers
    )
    log.append(running.client.bootstrap, [poison, following])
    path = f"/v1/items/{load.id}/{(last.key or b'').decode().split('/', 1)[1]}"
    eventually(lambda: running.client.api("GET", path)["name"].startswith("After "), every=0.02)
    letters = log.read(running.client.bootstrap, dead_letters(ITEMS))
    letter = next(one for one in letters if one.value == poison.value and one.key == poison.key)
    told = {name: value.decode() for name, value in letter.headers}
    assert (told["dlq_topic"], told["dlq_partition"]) == (ITEMS, str(last.partition))
    assert told["why"] == "test"
    assert int(told["dlq_offset"]) > last.offset
    assert told["dlq_error"]
    assert int(told["dlq_attempts"]) >= 1


def test_F38_while_dead_letters_cannot_be_kept_nothing_is_passed_and_readiness_is_red(
    running: Stack, topic: Topic
) -> None:
    if running.kind == "real":
        pytest.skip(
            "a full disk ends Apache Kafka; shared/tests shows dead letters that it refuses"
        )
    load = begin(running)
    load.done()
    bootstrap = running.client.bootstrap
    log.caught_up(bootstrap, *PUBLIC)
    last = of(load, log.read(bootstrap, ITEMS))[-1]
    running["gateway"].pause()
    log.append(bootstrap, [replace(last, key=POISONED, value=b"poison")])
    at = log.read(bootstrap, ITEMS)
    place = max(one.offset for one in at if one.partition == last.partition)
    with disk_full(running["broker"]):
        running["gateway"].resume()
        eventually(lambda: not running.ready())
        assert log.committed(bootstrap, "gateway", ITEMS)[last.partition] <= place
    eventually(running.ready)
    eventually(lambda: log.committed(bootstrap, "gateway", ITEMS)[last.partition] > place)
    letters = [one for one in log.read(bootstrap, dead_letters(ITEMS)) if one.value == b"poison"]
    # At least once: what is written just as the gateway gives up waiting is written again.
    assert {one.key for one in letters} == {POISONED}
    load.clean(topic)


def test_all_topics_are_known_to_the_tools() -> None:
    assert {topic.name for topic in TOPICS if not topic.name.endswith(".dlq")} == set(log.READERS)
