"""The fetcher's rows. Times are epoch seconds; JSON columns hold msgspec-encoded text."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, PrimaryKeyConstraint, String, Table, Text

from shared.outbox import outbox_table

metadata = MetaData()

connections = Table(
    "connections",
    metadata,
    Column("id", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
)

lanes = Table(
    "lanes",
    metadata,
    Column("connection", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("job", String, nullable=True),
    Column("loaded", Integer, nullable=False),
    Column("held", Integer, nullable=True),
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
    Column("state", String, nullable=False),
    Column("wake", Integer, nullable=False),
    Column("worker", String, nullable=True),
    Column("epoch", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("first_version", Integer, nullable=True),
    Column("cursor", Text, nullable=True),
    Column("place", String, nullable=True),
    Column("empty", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("items", Integer, nullable=False),
    Column("expected", Integer, nullable=True),
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
    Column("connection", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("id", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
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
