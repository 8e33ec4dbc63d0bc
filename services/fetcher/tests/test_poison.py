"""A message that cannot be understood is kept with its origin, and the next one is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from faststream import AckPolicy

from services.fetcher import plan
from services.fetcher.tests.crashing import PROVIDER, Fetcher
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import Message, event, timestamp
from shared.contracts.jobs import RunJob
from shared.contracts.syncs import SyncRequested
from shared.contracts.topics import CONNECTIONS, JOBS, SYNCS, dead_letters
from shared.kafka import Consumers
from shared.tests.kafka_harness import Kafka, kafka_on
from tests.support.waiting import until

SNAPSHOT = Connection(
    id="conn",
    version=1,
    generation=1,
    org_id="org",
    user_id="user",
    provider="orchard",
    client_id="c",
    account=Account(id="a"),
    status="active",
    resources=("apples", "pears"),
    token_version=1,
    sync_id="sync-1",
    created_at=timestamp(0),
    updated_at=timestamp(0),
)
KINDS = {CONNECTIONS: "Connected", SYNCS: "SyncRequested", JOBS: "RunJob"}
GOOD: dict[str, msgspec.Struct] = {
    CONNECTIONS: SNAPSHOT,
    SYNCS: SyncRequested(sync_id="asked", connection_id="conn", requested_at=timestamp(0)),
    JOBS: RunJob(job_id="nobody", dispatch=1),
}


def poison(topic: str) -> list[Message]:
    kind = KINDS[topic].encode()
    ours = (("ce_type", b"tributary." + kind),)
    made = [
        (b"{not json", ours),
        (b'"a string"', ours),
        (b"\xff\xfe\x00", ours),
        (b"[" * 50_000, ours),
        (b"{}", (("ce_type", b"tributary.Unheard"),)),
        (b"{}", (("ce_type", b"tributary." + kind + b".v2"),)),
        (b"{}", ()),
        (b"{}", (("ce_type", b"\xff\xfe"), ("odd", b"\x80"))),
    ]
    if topic != CONNECTIONS:  # on that topic, a null value means that a key has expired
        made.append((None, ours))  # type: ignore[arg-type]
    return [Message(topic=topic, key=b"k", value=value, headers=headers) for value, headers in made]


@pytest.fixture
async def kafka(tmp_path: Path) -> AsyncIterator[Kafka]:
    async with kafka_on(tmp_path) as kafka:
        yield kafka


@pytest.fixture
async def fetcher(tmp_path: Path) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(tmp_path, {"apples": 1, "pears": 1})
    await fetcher.boot()
    yield fetcher
    await fetcher.database.close()


def listening(kafka: Kafka, fetcher: Fetcher) -> Consumers:
    consumers = Consumers(kafka.cluster, service="fetcher", producer=kafka.producer)
    plan.listen(consumers, database=fetcher.database, providers={"orchard": PROVIDER})
    fetcher.worker.listen(consumers)
    return consumers


async def test_the_fetcher_acknowledges_nothing_before_its_work_is_done(
    kafka: Kafka, fetcher: Fetcher
) -> None:
    consumers = listening(kafka, fetcher)
    assert [subscriber.ack_policy for subscriber in consumers.broker.subscribers] == [
        AckPolicy.MANUAL
    ] * 4


@pytest.mark.parametrize("topic", KINDS)
async def test_T24_a_poison_message_is_kept_with_its_origin_and_the_next_one_is_processed(
    kafka: Kafka, fetcher: Fetcher, topic: str
) -> None:
    bad = poison(topic)
    good = event(topic, key="k", kind=KINDS[topic], source="test", body=GOOD[topic])
    await kafka.producer.send_all([*bad, good])
    consumers = listening(kafka, fetcher)
    await consumers.start()
    try:
        letters = await kafka.read(dead_letters(topic), len(bad))
        await until(partial(done_with, kafka, topic, len(bad) + 1))
    finally:
        await consumers.stop()
    assert [letter.value for letter in letters] == [message.value for message in bad]
    for offset, (letter, message) in enumerate(zip(letters, bad, strict=True)):
        headers = dict(letter.headers)
        assert letter.headers[: len(message.headers)] == message.headers
        assert (headers["dlq_topic"], headers["dlq_offset"]) == (
            topic.encode(),
            str(offset).encode(),
        )
        assert headers["dlq_partition"].isdigit()
        assert headers["dlq_error"].split(b":")[0] in {
            b"malformed",
            b"unknown_type",
            b"unsupported_version",
        }
        assert (headers["dlq_service"], headers["dlq_attempts"]) == (b"fetcher", b"1")
    if topic == CONNECTIONS:
        assert len(await fetcher.all_jobs()) == 2


async def done_with(kafka: Kafka, topic: str, count: int) -> bool:
    return await kafka.committed(topic, service="fetcher") == count
