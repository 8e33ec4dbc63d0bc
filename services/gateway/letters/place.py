"""How a dead letter is named: where it lies, ``topic~partition~offset``, in characters a URL leaves as they are."""

from __future__ import annotations

import re
from typing import Final

from aiokafka import TopicPartition

from shared.contracts.topics import PUBLIC, dead_letters
from shared.errors import BadRequest, NotFound

SOURCES: Final = {dead_letters(topic.name): topic.name for topic in PUBLIC}
"""Topic of dead letters → the topic they come from."""
_ID: Final = re.compile(r"([a-z0-9.]{1,100})~(\d{1,6})~(\d{1,18})", re.ASCII)


def letter_id(topic: str, partition: int, offset: int) -> str:
    return f"{topic}~{partition}~{offset}"


def letter_place(id_: str) -> tuple[TopicPartition, int]:
    """Partition and offset. Raises ``NotFound`` for what never named one."""
    found = _ID.fullmatch(id_)
    if found is None or found[1] not in SOURCES or letter_id(found[1], int(found[2]), int(found[3])) != id_:
        raise absent()
    return TopicPartition(found[1], int(found[2])), int(found[3])


def absent() -> NotFound:
    return NotFound("There is no such dead letter, or no longer: they are kept for 30 days.")


def source_topics(topic: str | None) -> list[str]:
    """The topics of dead letters to look into: all, or that of one topic. Raises ``BadRequest``."""
    chosen = [letters for letters, source in SOURCES.items() if topic in {None, source, letters}]
    if not chosen:
        raise BadRequest(f"There is no topic of that name. Known: {', '.join(SOURCES.values())}.", code="unknown_topic")
    return chosen
