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
    Column("step", Big, nullable=False),
    Column("revision", Big, nullable=False, index=True),
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
    Column("connection", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("provider", String, nullable=False),
    Column("org_id", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("version", Big, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", Big, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("name", String, nullable=False),
    Column("folded", String, nullable=False),
    Column("parent_id", Key, nullable=True),
    Column("url", String, nullable=True),
    Column("created", String, nullable=True),
    Column("modified", String, nullable=True),
    Column("updated", String, nullable=False),
    Column("raw", LargeBinary, nullable=True),
    Column("raw_bytes", Big, nullable=True),
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
    Column("next", Big, nullable=False),
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
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=True),
    Column("last_used", Float, nullable=True),
    Column("revoked", Float, nullable=True),
    Index("api_keys_by_org", "org_id", "created"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("prefix", String, nullable=False, index=True),
    Column("created", Float, nullable=False),
    Column("used", Float, nullable=False, index=True),
)

replays = Table(
    "replays",
    metadata,
    Column("log", String, nullable=False),
    Column("letter", String, nullable=False),
    Column("begun", Float, nullable=False),
    Column("sent", Float, nullable=True),
    Column("partition", Integer, nullable=True),
    Column("offset", Big, nullable=True),
    PrimaryKeyConstraint("log", "letter"),
)
