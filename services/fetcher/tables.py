"""Define the tables of the fetcher.

Times are epoch seconds. JSON columns hold text that msgspec encoded.
"""

from __future__ import annotations

from typing import Final, Literal

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
    text,
)

from shared.db import Big, Key
from shared.log_marks import log_marks_table
from shared.outbox import outbox_table

JobState = Literal["new", "ready", "running", "waiting", "awaiting_lane", "awaiting_slot", "over"]
"""The states of a job; a ``new`` one has no row yet. ``jobs/transitions.py`` defines the order."""
UNFINISHED: Final[tuple[JobState, ...]] = (
    "ready",
    "running",
    "waiting",
    "awaiting_lane",
    "awaiting_slot",
)

metadata = MetaData()

connections = Table(
    "connections",
    metadata,
    Column("id", String, primary_key=True),
    Column("version", Big, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("parallel", Integer, nullable=False),
)

lanes = Table(
    "lanes",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("epoch", Big, nullable=False),
    Column("job_id", String, nullable=True),
    Column("loaded", Integer, nullable=False),
    Column("confirm_at", Float, nullable=True),
    Column("digest", String, nullable=False),
    Column("invalidated", Big, nullable=False),
    Column("lost_at", Float, nullable=True),
    PrimaryKeyConstraint("connection_id", "resource"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection_id", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("background", Boolean, nullable=False),
    Column("state", String, nullable=False),
    Column("outcome", String, nullable=True),
    Column("dispatch", Big, nullable=False),
    Column("worker_id", String, nullable=True),
    Column("epoch", Big, nullable=False),
    Column("seq", Big, nullable=False),
    Column("step", Big, nullable=False),
    Column("first_version", Big, nullable=True),
    Column("cursor", Text, nullable=True),
    Column("pages", Big, nullable=False),
    Column("items", Big, nullable=False),
    Column("expected", Big, nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("failing_since", Float, nullable=True),
    Column("receipt", Text, nullable=False),
    Column("item_positions", Text, nullable=False),
    Column("pending_ids", Text, nullable=False),
    Column("waiting_until", Float, nullable=True),
    Column("waiting_reason", String, nullable=True),
    Column("waiting_code", String, nullable=True),
    Column("not_before", Float, nullable=True),
    Column("error", Text, nullable=True),
    Column("started_at", Float, nullable=True),
    Column("ended_at", Float, nullable=True),
    Column("changed_at", Float, nullable=False),
    Index("jobs_by_lane", "connection_id", "resource", "state"),
    Index("jobs_by_state", "state", "changed_at"),
    Index("jobs_by_slot", "connection_id", "state", "changed_at"),
)

job_syncs = Table(
    "job_syncs",
    metadata,
    Column("job_id", String, nullable=False),
    Column("sync_id", String, nullable=False),
    PrimaryKeyConstraint("job_id", "sync_id"),
    Index("job_syncs_by_sync", "sync_id"),
)

syncs = Table(
    "syncs",
    metadata,
    Column("id", String, primary_key=True),
    Column("connection_id", String, nullable=False),
    Column("requested_at", Float, nullable=False),
)

unclaimed = Table(
    "unclaimed",
    metadata,
    Column("sync_id", String, primary_key=True),
    Column("connection_id", String, nullable=False, index=True),
    Column("request", LargeBinary, nullable=False),
    Column("expires_at", Float, nullable=False),
)

parts = Table(
    "parts",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("name", String, nullable=False),
    Column("lists", Boolean, nullable=False),
    Column("schema_key", String, nullable=True),
    Column("found_in", Key, nullable=True),
    Column("turn", Integer, nullable=False),
    Column("position", Big, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("job_id", String, nullable=False),
    Column("first_version", Big, nullable=False),
    Column("cursor", Text, nullable=True),
    Column("schema_digest", LargeBinary, nullable=True),
    Column("page_size", Integer, nullable=False),
    Column("pages", Big, nullable=False),
    Column("items", Big, nullable=False),
    Column("empty_pages", Big, nullable=False),
    Column("failing_since", Float, nullable=True),
    Column("restarts", Integer, nullable=False),
    Column("tried_again", Boolean, nullable=False),
    Column("outcome", String, nullable=True),
    Column("error", Text, nullable=True),
    Column("next_try_at", Float, nullable=False),
    Column("not_before", Float, nullable=True),
    Column("stale_since", Float, nullable=True),
    Column("begun_at", Float, nullable=True),
    Column("read_at", Float, nullable=True),
    PrimaryKeyConstraint("connection_id", "resource", "id"),
    Index(
        "parts_to_read",
        "connection_id",
        "resource",
        "job_id",
        "turn",
        "position",
        "id",
        postgresql_where=text("outcome IS NULL"),
        sqlite_where=text("outcome IS NULL"),
    ),
)

seen_cursors = Table(
    "seen_cursors",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("part", Key, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    PrimaryKeyConstraint("connection_id", "resource", "part", "digest"),
    sqlite_with_rowid=False,
)

known_items = Table(
    "known_items",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("version", Big, nullable=False),
    Column("part", Key, nullable=True),
    PrimaryKeyConstraint("connection_id", "resource", "id"),
    sqlite_with_rowid=False,
)

dropped_records = Table(
    "dropped_records",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("digest", Key, nullable=False),
    Column("version", Big, nullable=False),
    PrimaryKeyConstraint("connection_id", "resource", "digest"),
    sqlite_with_rowid=False,
)

unconfirmed = Table(
    "unconfirmed",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("part", Key, nullable=True),
    Column("version", Big, nullable=False),
    Column("since", Float, nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("absent_since", Float, nullable=True),
    Column("merged_into", Key, nullable=True),
    Column("confirmed", Boolean, nullable=False),
    PrimaryKeyConstraint("connection_id", "resource", "id"),
    Index("unconfirmed_by_age", "connection_id", "resource", "asked_at", "id"),
    sqlite_with_rowid=False,
)

truncated = Table(
    "truncated",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("listed", LargeBinary, nullable=False),
    Column("sent", LargeBinary, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("standing", String, nullable=False),
    Column("fields", Text, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("size", Big, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("next_try_at", Float, nullable=False),
    Column("failing_since", Float, nullable=True),
    PrimaryKeyConstraint("connection_id", "resource", "id"),
    Index("truncated_by_age", "connection_id", "resource", "standing", "next_try_at", "id"),
    sqlite_with_rowid=False,
)

schemas = Table(
    "schemas",
    metadata,
    Column("connection_id", String, nullable=False),
    Column("resource", String, nullable=False),
    Column("key", String, nullable=False),
    Column("schema", Text, nullable=False),
    PrimaryKeyConstraint("connection_id", "resource", "key"),
)

truncated_pieces = Table(
    "truncated_pieces",
    metadata,
    Column("connection_id", Key, nullable=False),
    Column("resource", Key, nullable=False),
    Column("id", Key, nullable=False),
    Column("number", Integer, nullable=False),
    Column("field", String, nullable=False),
    Column("following", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("connection_id", "resource", "id", "number"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),
    Column("beat_at", Float, nullable=False),
)

outbox = outbox_table(metadata)
log_marks = log_marks_table(metadata)
