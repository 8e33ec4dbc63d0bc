"""What every request handler works on."""

from dataclasses import dataclass
from typing import NamedTuple

from deploy.local.broker.flusher import Flusher
from deploy.local.broker.groups import Groups
from deploy.local.broker.topics import Topics

NODE_ID = 0


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
