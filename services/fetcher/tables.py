"""The fetcher's rows. Times are epoch seconds; JSON columns hold msgspec-encoded text."""

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
    Text,
    false,
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
    Column("status", String, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("parallel", Integer, nullable=False, server_default="4"),
)

lanes = Table(
    "lanes",
    metadata,
    Column("connection", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("epoch", Big, nullable=False),
    Column("job", String, nullable=True),
    Column("loaded", Integer, nullable=False),
    Column("held", Big, nullable=True),
    PrimaryKeyConstraint("connection", "resource"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("background", Boolean, nullable=False, server_default=false()),
    Column("state", String, nullable=False),
    Column("wake", Big, nullable=False),
    Column("worker", String, nullable=True),
    Column("epoch", Big, nullable=False),
    Column("seq", Big, nullable=False),
    Column("step", Big, nullable=False),
    Column("first_version", Big, nullable=True),
    Column("cursor", Text, nullable=True),
    Column("place", String, nullable=True),
    Column("empty", Big, nullable=False),
    Column("pages", Big, nullable=False),
    Column("items", Big, nullable=False),
    Column("expected", Big, nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("positions", Text, nullable=False),
    Column("pending", Text, nullable=False, server_default="[]"),
    Column("waiting", Text, nullable=True),
    Column("error", Text, nullable=True),
    Column("started", Float, nullable=True),
    Column("ended", Float, nullable=True),
    Column("changed", Float, nullable=False),
    Index("jobs_by_lane", "connection", "resource", "state"),
    Index("jobs_by_state", "state", "changed"),
    Index("jobs_by_turn", "connection", "state", "changed"),
)

job_syncs = Table(
    "job_syncs",
    metadata,
    Column("job", String, nullable=False),
    Column("sync", String, nullable=False),
    PrimaryKeyConstraint("job", "sync"),
    Index("job_syncs_by_sync", "sync"),
)

syncs = Table(
    "syncs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection", String, nullable=False),
    Column("requested", Float, nullable=False),
)

unclaimed = Table(
    "unclaimed",
    metadata,
    Column("sync", String, primary_key=True),
    Column("connection", String, nullable=False, index=True),
    Column("request", LargeBinary, nullable=False),
    Column("until", Float, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("job", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    PrimaryKeyConstraint("job", "digest"),
    sqlite_with_rowid=False,
)

seen = Table(
    "seen",
    metadata,
    Column("connection", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("version", Big, nullable=False),
    PrimaryKeyConstraint("connection", "resource", "id"),
    sqlite_with_rowid=False,
)

workers = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),
    Column("beat", Float, nullable=False),
)

outbox = outbox_table(metadata)
