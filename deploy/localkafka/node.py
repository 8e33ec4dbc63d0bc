"""Hold what every request handler works on."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from deploy.localkafka.flusher import Flusher
from deploy.localkafka.groups import Groups
from deploy.localkafka.topics import Topics

NODE_ID: Final = 0


class Client(NamedTuple):
    id: str
    host: str


@dataclass(frozen=True, slots=True)
class Node:
    host: str
    port: int
    cluster_id: str
    topics: Topics
    groups: Groups
    flusher: Flusher
    keeps: frozenset[str] = frozenset()
    """Topics that nobody may delete."""
