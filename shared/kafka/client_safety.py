"""A proof at each start that no client of ours has a setting with which it loses messages.

FastStream's and aiokafka's defaults are such settings, an upgrade may bring others, and none of them shows in use.
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
    """A Kafka client of ours would lose messages; says which, and how."""

    code = "unsafe_client"


def check_subscribers(broker: KafkaBroker) -> None:
    """Before anything is read. Raises ``UnsafeClient``."""
    _refuse(
        f"the consumer of {_topics(one)} {wrong}"
        for one in broker.subscribers
        for wrong in _declared_wrong(one)
    )


def check_consumers(broker: KafkaBroker) -> None:
    """What the running consumers really do. Raises ``UnsafeClient``."""
    live = [(one, getattr(one, "consumer", None)) for one in broker.subscribers]
    _refuse(
        f"the consumer of {_topics(one)} {wrong}"
        for one, consumer in live
        for wrong in _running_wrong(consumer)
    )


def check_producer(producer: AIOKafkaProducer) -> None:
    """Raises ``UnsafeClient``."""
    wrong = []
    if producer._sender._acks != ALL_REPLICAS:  # noqa: SLF001  # no door leads there
        wrong.append("takes a message as sent before all replicas have it (acks is not all)")
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
        yield "answers to whatever a message names in its reply_to header"
    settings = subscriber._connection_args  # noqa: SLF001
    if settings.get("auto_offset_reset") != "earliest":
        yield "starts at the end of a topic it has not read (auto_offset_reset is not earliest)"
    if subscriber._outer_config.allow_auto_create_topics:  # noqa: SLF001
        yield "makes missing topics, with one partition and one replica"
    if not _raw(subscriber):
        yield "decodes before our wrapper can keep what does not decode"


def _raw(subscriber: BatchSubscriber) -> bool:
    for call in subscriber.calls:
        found = subscriber._get_parser_and_decoder(call.item_parser, call.item_decoder)  # noqa: SLF001
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
            f"This would lose messages, so it was not started: {'; '.join(found)}. It is a fault of this version, or "
            "of the Kafka library installed with it: install the versions of requirements.lock."
        )
