"""Represent a record as it came: bytes and headers, nothing decoded."""

from __future__ import annotations

from operator import itemgetter
from typing import Final

import msgspec
from aiokafka import ConsumerRecord
from faststream.kafka.message import FAKE_CONSUMER, KafkaAckableMessage, KafkaMessage

from shared.contracts.envelope import Headers

_VALUE: Final = itemgetter(1)


class ConsumedRecord(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Headers


async def untouched(records: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
    """Replace FastStream's parser, which raises on a header that is not UTF-8.

    FastStream would then skip the message.
    """
    return KafkaAckableMessage(body=b"", headers={}, raw_message=records, consumer=FAKE_CONSUMER)


async def undecoded(message: KafkaMessage) -> list[ConsumedRecord]:
    return [consumed_record(record) for record in message.raw_message]


def consumed_record(record: ConsumerRecord[bytes, bytes]) -> ConsumedRecord:
    headers = record.headers
    if None in map(_VALUE, headers):
        headers = _without_nulls(headers)
    return ConsumedRecord(
        record.topic,
        record.partition,
        record.offset,
        record.key or b"",
        record.value,
        headers,
    )


def _without_nulls(headers: tuple[tuple[str, bytes | None], ...]) -> Headers:
    return tuple((name, value or b"") for name, value in headers)
