"""Create the tables of connections, lanes, jobs, known items, syncs, workers and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0100"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.Column("parallel", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "cursors",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_syncs",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("sync_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "sync_id"),
    )
    op.create_index("job_syncs_by_sync", "job_syncs", ["sync_id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("background", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("dispatch", BIG, nullable=False),
        sa.Column("worker_id", sa.String(), nullable=True),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("step", BIG, nullable=False),
        sa.Column("first_version", BIG, nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("part", sa.String(), nullable=True),
        sa.Column("empty_pages", BIG, nullable=False),
        sa.Column("pages", BIG, nullable=False),
        sa.Column("items", BIG, nullable=False),
        sa.Column("expected", BIG, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("item_positions", sa.Text(), nullable=False),
        sa.Column("pending_ids", sa.Text(), nullable=False),
        sa.Column("waiting_until", sa.Float(), nullable=True),
        sa.Column("waiting_reason", sa.String(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_lane", "jobs", ["connection_id", "resource", "state"], unique=False)
    op.create_index("jobs_by_slot", "jobs", ["connection_id", "state", "changed_at"], unique=False)
    op.create_index("jobs_by_state", "jobs", ["state", "changed_at"], unique=False)
    op.create_table(
        "lanes",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("job_id", sa.String(), nullable=True),
        sa.Column("loaded", sa.Integer(), nullable=False),
        sa.Column("held_deletions", BIG, nullable=True),
        sa.PrimaryKeyConstraint("connection_id", "resource"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outbox_not_before"), "outbox", ["not_before"], unique=False)
    op.create_table(
        "known_items",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "resource", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "syncs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column("requested_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "unclaimed",
        sa.Column("sync_id", sa.String(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sync_id"),
    )
    op.create_index(
        op.f("ix_unclaimed_connection_id"), "unclaimed", ["connection_id"], unique=False
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("beat_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
