"""Replay a dead letter: send its message to its own topic again."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiokafka.errors import KafkaError

from services.gateway.dead_letters import queries as replays
from services.gateway.dead_letters.context import DeadLetterContext, open_producer
from services.gateway.dead_letters.dead_letter import DeadLetter
from services.gateway.dead_letters.listing import find_dead_letter
from services.gateway.dead_letters.queries import Replay
from services.gateway.http.fields import (
    DeadLetterId,
    MessageOffset,
    MessagePartition,
    MessageTopic,
    ReplayedAt,
)
from shared import clock
from shared.contracts.envelope import REPLAYED_FROM, Message, timestamp
from shared.errors import Conflict, Unavailable
from shared.kafka import MAX_DEAD_LETTER_BYTES, Producer

# Shorter than GIVEN_UP_S: nobody sends a second copy while we still wait for the first.
PATIENCE_S: Final = 10.0
GIVEN_UP_S: Final = 30.0
"""Seconds after which an unfinished replay counts as abandoned.

The next one sends, at worst again.
"""


_UNCONFIRMED: Final = (
    f"Kafka has not confirmed the message. Replay it again in {GIVEN_UP_S:.0f} seconds: if it "
    "did arrive, a second copy does no harm."
)


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The message's new position.

    A dead letter is replayed once: repeating it gives the same answer.
    """

    id: DeadLetterId
    topic: MessageTopic
    partition: MessagePartition
    offset: MessageOffset
    replayed_at: ReplayedAt


async def replay_dead_letter(
    id_: str, *, context: DeadLetterContext, producer: Producer | None = None
) -> Replayed:
    """Send the message again as it was, with one more header; its key leads to the same partition.

    The replay is recorded before and after the message is sent: a crash in between costs at most a
    second copy, which every consumer ignores. Pass ``producer`` to share one among many replays.

    Raises ``NotFound``, ``Conflict`` for a dead letter that cannot be replayed or is being
    replayed, ``Unavailable``.
    """
    letter = await find_dead_letter(id_, context=context)
    _check(letter)
    now = clock.now()
    async with context.database.write() as db:
        begun = await replays.begin(
            db, context.log_id(id_), id_, now=now, given_up=now - GIVEN_UP_S
        )
        known = await replays.get(db, context.log_id(id_), id_)
    if not begun:
        return _replayed(letter, known)
    if producer is None:
        async with open_producer(context) as own:
            partition, offset = await _sent(letter, own)
    else:
        partition, offset = await _sent(letter, producer)
    async with context.database.write() as db:
        await replays.finish(db, context.log_id(id_), id_, now=clock.now(), at=(partition, offset))
        known = await replays.get(db, context.log_id(id_), id_)
    return _replayed(letter, known)


def _check(letter: DeadLetter) -> None:
    if letter.offset is None:
        raise Conflict(
            "This is a record of a provider's page, not a message, so it cannot be replayed. "
            "Sync the connection again; the record is read again with it.",
            code="not_replayable",
        )
    if not letter.whole:
        raise Conflict(
            "The message was too large to be kept whole: only the beginning of its "
            f"{letter.size} bytes is here. Its sender has to send it again.",
            code="not_replayable",
        )


async def _sent(letter: DeadLetter, producer: Producer) -> tuple[int, int]:
    acknowledged = asyncio.create_task(
        producer.send_all([_original(letter)], most=MAX_DEAD_LETTER_BYTES)
    )
    done, _ = await asyncio.wait([acknowledged], timeout=PATIENCE_S)
    if not done:
        acknowledged.cancel()  # Kafka may still receive the message after we stop waiting.
        raise Unavailable(_UNCONFIRMED)
    try:
        ((partition, offset),) = acknowledged.result().items()
    except (KafkaError, OSError) as error:
        raise Unavailable(_UNCONFIRMED) from error
    return partition, offset


def _original(letter: DeadLetter) -> Message:
    headers = tuple((name, value) for name, value in letter.headers if name != REPLAYED_FROM)
    mark = (REPLAYED_FROM, letter.id.encode())
    return Message(topic=letter.topic, key=letter.key, value=letter.value, headers=(*headers, mark))


def _replayed(letter: DeadLetter, known: Replay | None) -> Replayed:
    if known is None or known.sent_at is None or known.partition is None or known.offset is None:
        raise Conflict(
            "This dead letter is being replayed, or an earlier replay broke off. Ask again "
            f"in {GIVEN_UP_S:.0f} seconds.",
            code="replay_running",
        )
    return Replayed(
        id=letter.id,
        topic=letter.topic,
        partition=known.partition,
        offset=known.offset,
        replayed_at=timestamp(known.sent_at),
    )
