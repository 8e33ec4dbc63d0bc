"""The gateway's tables: the read model, positions in the topics, API keys and sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_type_hints

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    text,
)
from sqlalchemy.types import TypeEngine

from shared.contracts.items import Item
from shared.db import Big, Key
from shared.outbox import outbox_table

metadata = MetaData()

connections = Table(
    "connections",
    metadata,
    Column("id", String, primary_key=True),
    Column("version", Big, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("org_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("status", String, nullable=False),
    # Text sorts as time here: always UTC, and always with the same number of digits.
    # https://www.rfc-editor.org/rfc/rfc3339#section-5.1
    Column("created_at", String, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Index("connections_by_owner", "org_id", "user_id", "provider"),
)

syncs = Table(
    "syncs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection_id", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("resources", LargeBinary, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("trigger", String, nullable=False),
    Column("requested_at", Float, nullable=False),
    Column("ended_at", Float, nullable=True),
    Index("syncs_by_connection", "connection_id", "requested_at"),
)

sync_jobs = Table(
    "sync_jobs",
    metadata,
    Column("sync_id", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("job_id", String, nullable=False),
    Column("step", Big, nullable=False),
    # Indexed, because every fold of progress asks for the highest one.
    Column("revision", Big, nullable=False, index=True),
    Column("final", Boolean, nullable=False),
    Column("readable", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sync_id", "resource"),
    # Every batch of every topic looks for these.
    Index("sync_jobs_unreadable", "final", "readable"),
)

resources = Table(
    "resources",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("ended_at", String, nullable=False),
    Column("complete_at", String, nullable=True),
    Column("stale", LargeBinary, nullable=True),
    PrimaryKeyConstraint("connection_id", "resource"),
    # Each page of items asks whether there is anything stale at all: mostly there is not.
    Index(
        "resources_stale",
        "connection_id",
        postgresql_where=text("stale IS NOT NULL"),
        sqlite_where=text("stale IS NOT NULL"),
    ),
)

flows = Table(
    "flows",
    metadata,
    Column("id", String, primary_key=True),
    Column("org_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

KEY_FIELDS: Final = frozenset({"connection_id", "resource", "id", "parent_id"})
"""Columns compared and sorted by their bytes, so that every database has the same order."""


def item_columns() -> Iterator[Column[Any]]:
    """Yield one column per field of the contract: text and numbers as such, the rest as JSON."""
    kinds: Mapping[type, type[TypeEngine[Any]] | TypeEngine[Any]] = {
        str: String,
        int: Big,
        float: Float,
        bool: Boolean,
    }
    for name, annotation in get_type_hints(Item).items():
        options = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
        (kind,) = (option for option in options if option is not NoneType)
        column = Key if name in KEY_FIELDS else kinds.get(kind, LargeBinary)
        yield Column(name, column, nullable=NoneType in options)


items = Table(
    "items",
    metadata,
    *item_columns(),
    Column("synced_at", String, nullable=False),
    Column("name_folded", String, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("digest", String, nullable=True),
    Column("partition", Integer, nullable=False),
    Column("offset", Big, nullable=False),
    PrimaryKeyConstraint("connection_id", "resource", "id"),
    Index("items_counted", "connection_id", "resource", "deleted"),
)

positions = Table(
    "positions",
    metadata,
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("log_id", String, nullable=False),
    Column("next_offset", Big, nullable=False),
    PrimaryKeyConstraint("topic", "partition"),
)

outbox = outbox_table(metadata)

api_keys = Table(
    "api_keys",
    metadata,
    Column("prefix", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("org_id", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("name", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=True),
    Column("last_used_at", Float, nullable=True),
    Column("revoked_at", Float, nullable=True),
    Index("api_keys_by_org", "org_id", "created_at"),
)

sessions = Table(
    "sessions",
    metadata,
    # The digest of the browser's token: a copy of this table signs nobody in.
    Column("id", String, primary_key=True),
    Column("prefix", String, nullable=False, index=True),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float, nullable=False, index=True),
)

replays = Table(
    "replays",
    metadata,
    # A new log counts from 0 again, so an id without its log could name another message.
    Column("log_id", String, nullable=False),
    Column("dead_letter_id", String, nullable=False),
    Column("begun_at", Float, nullable=False),
    Column("sent_at", Float, nullable=True),
    Column("partition", Integer, nullable=True),
    Column("offset", Big, nullable=True),
    PrimaryKeyConstraint("log_id", "dead_letter_id"),
)
