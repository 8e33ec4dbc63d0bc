"""Keep topics in folders: ``topics/<name>/topic.json``, then a folder per partition."""

import asyncio
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from deploy.localkafka import policy
from deploy.localkafka.errors import Code, Refused
from deploy.localkafka.files import replace_durably, sync_directory
from deploy.localkafka.log import PartitionLog

_logger = structlog.get_logger()
_LEGAL_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_MOST_PARTITIONS: Final = 1000
DESCRIPTION: Final = "topic.json"


def new_topic_id() -> uuid.UUID:
    return uuid.uuid4()


class Description(msgspec.Struct):
    """The stored description of a topic.

    ``id`` is drawn when the topic is created: a later one with the same name is another topic. So
    is a topic that has lost records: whoever fills it or reads it has to know.
    """

    partitions: int
    configs: dict[str, str]
    id: uuid.UUID


class Topic:
    def __init__(self, directory: Path, description: Description) -> None:
        self.name = directory.name
        self.id = description.id
        self.configs = description.configs
        rules = policy.policy(description.configs)
        self.partitions = [
            PartitionLog(directory / str(number), rules) for number in range(description.partitions)
        ]
        damaged = [log for log in self.partitions if log.lost_records]
        if damaged:
            self.id = new_topic_id()
            renamed = Description(description.partitions, self.configs, self.id)
            replace_durably(directory / DESCRIPTION, msgspec.json.encode(renamed))
            for log in damaged:
                log.forget_loss()

    def close(self) -> None:
        for log in self.partitions:
            log.close()


class Topics:
    def __init__(self, data_dir: Path) -> None:
        """Open all topics, which may take seconds per gigabyte.

        Hold ``changing`` to create or delete.
        """
        self._directory = data_dir / "topics"
        self._trash = data_dir / "trash"
        self._directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._trash, ignore_errors=True)
        self.changing = asyncio.Lock()
        self._topics: dict[str, Topic] = {}
        for directory in sorted(self._directory.iterdir()):
            description = directory / DESCRIPTION
            if description.exists():
                self._topics[directory.name] = Topic(
                    directory, msgspec.json.decode(description.read_bytes(), type=Description)
                )
            else:  # its creation was cut off, so nobody was told of it
                shutil.rmtree(directory)

    def names(self) -> list[str]:
        return list(self._topics)

    def logs(self) -> list[PartitionLog]:
        return [log for topic in self._topics.values() for log in topic.partitions]

    def get(self, name: str) -> Topic:
        """Return the topic.

        Raises:
            Refused: there is none of that name. Asking for a topic never creates it.
        """
        topic = self._topics.get(name)
        if topic is None:
            raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION)
        return topic

    def name_of(self, id_: uuid.UUID) -> str | None:
        return next((topic.name for topic in self._topics.values() if topic.id == id_), None)

    def log(self, name: str, partition: int) -> PartitionLog:
        """Return the partition's log.

        Raises:
            Refused: there is no such topic or partition.
        """
        partitions = self.get(name).partitions
        if not 0 <= partition < len(partitions):
            raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION)
        return partitions[partition]

    def check_new(
        self, name: str, partitions: int, configs: Mapping[str, str | None]
    ) -> Description:
        """Return the description of the topic that would be created.

        Raises:
            Refused: the name, the number of partitions or a setting is not allowed, or the topic
                exists.
        """
        if not _LEGAL_NAME.fullmatch(name) or name in {".", ".."}:
            raise Refused(
                Code.INVALID_TOPIC,
                "a topic name has 1 to 249 letters, digits, dots, dashes and underscores",
            )
        if name in self._topics:
            raise Refused(Code.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if not 1 <= partitions <= _MOST_PARTITIONS:
            raise Refused(
                Code.INVALID_PARTITIONS, f"a topic has 1 to {_MOST_PARTITIONS} partitions"
            )
        return Description(partitions, policy.check(configs), new_topic_id())

    def create(self, name: str, description: Description) -> None:
        """Create the topic, durably. ``description`` comes from ``check_new``."""
        directory = self._directory / name
        topic = Topic(directory, description)
        replace_durably(directory / DESCRIPTION, msgspec.json.encode(description))
        sync_directory(self._directory)
        self._topics[name] = topic

    def delete(self, name: str) -> None:
        """Delete the topic with all its records.

        Raises:
            Refused: there is none of that name.
        """
        topic = self.get(name)
        del self._topics[name]
        for log in topic.partitions:
            log.fail()
        topic.close()
        self._trash.mkdir(exist_ok=True)
        grave = self._trash / uuid.uuid4().hex
        (self._directory / name).rename(grave)
        sync_directory(self._directory)
        shutil.rmtree(grave, ignore_errors=True)
        _logger.info("local_broker_topic_deleted", topic=name)

    def close(self) -> None:
        for topic in self._topics.values():
            topic.close()
