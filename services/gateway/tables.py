"""The gateway's rows: the read model of connections, syncs and items, and how far each topic was read."""

from __future__ import annotations

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
)

from shared.outbox import outbox_table

metadata = MetaData()

connections = Table(
    "connections",
    metadata,
    Column("id", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("org_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("status", String, nullable=False),
    Column("created", String, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Index("connections_by_owner", "org_id", "user_id", "provider"),
)

syncs = Table(
    "syncs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("resources", LargeBinary, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("why", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("ended", Float, nullable=True),
    Index("syncs_by_connection", "connection", "created"),
)

sync_jobs = Table(
    "sync_jobs",
    metadata,
    Column("sync", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("job", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
    Column("final", Boolean, nullable=False),
    Column("readable", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sync", "resource"),
    Index("sync_jobs_unreadable", "final", "readable"),
)

flows = Table(
    "flows",
    metadata,
    Column("id", String, primary_key=True),
    Column("org_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("expires", Float, nullable=False, index=True),
)

items = Table(
    "items",
    metadata,
    Column("connection", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("id", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("org_id", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    Column("parent_id", String, nullable=True),
    Column("url", String, nullable=True),
    Column("created", String, nullable=True),
    Column("modified", String, nullable=True),
    Column("updated", String, nullable=False),
    Column("raw", LargeBinary, nullable=True),
    Column("raw_bytes", Integer, nullable=True),
    Column("digest", String, nullable=True),
    PrimaryKeyConstraint("connection", "resource", "id"),
    Index("items_counted", "connection", "resource", "deleted"),
)

positions = Table(
    "positions",
    metadata,
    Column("topic", String, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("log", String, nullable=False),
    Column("next", Integer, nullable=False),
    PrimaryKeyConstraint("topic", "partition"),
)

outbox = outbox_table(metadata)
