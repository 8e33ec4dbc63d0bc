"""Store the layout and the installation of our topics, as a record on a topic of its own."""

from __future__ import annotations

from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from shared.contracts.topics import INSTALLATION
from shared.kafka.client_config import client_options
from shared.kafka.log_reader import LoggedRecord, LogReader
from shared.layout import LAYOUT, LayoutRefused
from shared.settings import Cluster

_KEY: Final = b"installation"


class Installation(msgspec.Struct, frozen=True):
    """The content of the record. Fields may be added."""

    layout: int
    id: str | None = None
    """Shared with the databases of the installation. Older records have none."""


async def read_installation(cluster: Cluster) -> Installation | None:
    """Return the newest record, None if the topic is empty. The topic must exist.

    Raises:
        LayoutRefused: the record is not ours.
    """
    async with LogReader(cluster, [INSTALLATION]) as log:
        bounds = await log.bounds()
        stretches = await log.stretch(bounds, _value) if bounds else {}
    values = [value for found in stretches.values() for value in found]
    if not values:
        return None
    try:
        return msgspec.json.decode(values[-1] or b"", type=Installation)
    except msgspec.DecodeError:
        raise LayoutRefused(
            f"The topic {INSTALLATION} holds a record that Tributary did not write. Use another "
            "cluster, or delete the topic if nobody needs it."
        ) from None


async def write_installation(cluster: Cluster, id_: str) -> None:
    """Append a record with the current layout; return when it is acknowledged."""
    producer = AIOKafkaProducer(**client_options(cluster), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(
            INSTALLATION, msgspec.json.encode(Installation(LAYOUT, id_)), key=_KEY
        )
    finally:
        await producer.stop()


def _value(logged: LoggedRecord) -> bytes | None:
    return logged.record.value
