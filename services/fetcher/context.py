"""Define the context that every run of a job is handed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.fetcher.call import Learned, Tokens
from services.fetcher.schemas import Schemas
from services.fetcher.settings import Runtime
from shared.connector import Connector
from shared.db import Database
from shared.http import HttpClient
from shared.kafka import Producer
from shared.quota import Quota

MOST_EMPTY: Final = 10_000
"""A part ends after so many pages in a row without a record. No provider is known to send them."""


@dataclass
class SlotQueue:
    """The number of ``RunJob``s that wait for a slot of this worker."""

    waiting: int = 0


@dataclass(frozen=True)
class FetcherContext:
    """Everything that the runs of a worker share.

    ``stopping`` is set when the worker wants to leave at the next page border. ``learned`` holds
    the limits that the providers' answers stated, ``schemas`` those of the jobs under way.
    """

    database: Database
    producer: Producer
    runtimes: Mapping[str, Runtime]
    connectors: Mapping[str, Connector]
    http: Mapping[str, HttpClient]
    quota: Quota
    tokens: Tokens
    max_pages: int | None = None
    most_empty: int = MOST_EMPTY
    learned: Learned = field(default_factory=dict)
    schemas: Schemas = field(default_factory=Schemas)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    queue: SlotQueue = field(default_factory=SlotQueue)
