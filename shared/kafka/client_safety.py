"""Refuse to start a Kafka client whose settings would lose messages.

FastStream's and aiokafka's defaults lose messages, an upgrade may bring new ones, and nothing of it
shows in normal use. So each start checks what the clients were really given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.errors import TributaryError
from shared.kafka.record import undecoded, untouched

ALL_REPLICAS: Final = -1


class UnsafeClient(TributaryError):
    """A Kafka client of ours would lose messages; the detail says which, and how."""

    code = "unsafe_client"


def check_subscribers(broker: KafkaBroker) -> None:
    """Raise ``UnsafeClient`` if a declared consumer is unsafe. Called before anything is read."""
    _refuse(
        f"the consumer of {_topics(one)} {wrong}"
        for one in broker.subscribers
        for wrong in _declared_wrong(one)
    )


def check_consumers(broker: KafkaBroker) -> None:
    """Raise ``UnsafeClient`` if a running consumer is unsafe."""
    live = [(one, getattr(one, "consumer", None)) for one in broker.subscribers]
    _refuse(
        f"the consumer of {_topics(one)} {wrong}"
        for one, consumer in live
        for wrong in _running_wrong(consumer)
    )


def check_producer(producer: AIOKafkaProducer) -> None:
    """Raise ``UnsafeClient`` if the producer is unsafe."""
    wrong = []
    if producer._sender._acks != ALL_REPLICAS:  # noqa: SLF001  # there is no public way to ask
        wrong.append("counts a message as sent before all replicas have it (acks is not all)")
    if producer._txn_manager is None:  # noqa: SLF001
        wrong.append("may send a message twice or out of order (idempotence is off)")
    _refuse(f"the producer {one}" for one in wrong)


def _topics(subscriber: Any) -> str:
    return ", ".join(subscriber.topic_names)


def _declared_wrong(subscriber: Any) -> Iterator[str]:
    if not isinstance(subscriber, BatchSubscriber) or getattr(subscriber, "max_workers", 1) != 1:
        yield "has several workers, whose commits overtake one another"
        return
    if subscriber.ack_policy is not AckPolicy.MANUAL:
        yield f"acknowledges by itself ({subscriber.ack_policy})"
    if not subscriber._no_reply:  # noqa: SLF001
        yield "publishes to whatever topic a message names in its reply_to header"
    settings = subscriber._connection_args  # noqa: SLF001
    if settings.get("auto_offset_reset") != "earliest":
        yield "starts at the end of a topic it has not read (auto_offset_reset is not earliest)"
    if subscriber._outer_config.allow_auto_create_topics:  # noqa: SLF001
        yield "creates missing topics, with one partition and one replica"
    if not _raw(subscriber):
        yield "decodes messages before we can keep those that do not decode"


def _raw(subscriber: BatchSubscriber) -> bool:
    for call in subscriber.calls:
        used = (call.item_parser, call.item_decoder)
        found = subscriber._get_parser_and_decoder(*used)  # noqa: SLF001
        if [getattr(one, "custom_func", None) for one in found] != [untouched, undecoded]:
            return False
    return bool(subscriber.calls)


def _running_wrong(consumer: AIOKafkaConsumer | None) -> Iterator[str]:
    if consumer is None:
        yield "did not start"
        return
    if consumer._enable_auto_commit is not False:  # noqa: SLF001
        yield "commits by itself (enable_auto_commit)"
    if consumer._auto_offset_reset != "earliest":  # noqa: SLF001
        yield "starts at the end of a topic it has not read (auto_offset_reset is not earliest)"


def _refuse(wrong: Iterable[str]) -> None:
    found = list(wrong)
    if found:
        raise UnsafeClient(
            f"Messages could be lost, so nothing was started: {'; '.join(found)}. The cause is "
            "this version or the Kafka library installed with it: install the versions of "
            "requirements.lock."
        )
