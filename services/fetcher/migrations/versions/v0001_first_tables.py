"""Connections, lanes, jobs and what was seen, syncs, workers and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
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
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "cursors",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_syncs",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("sync", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("job", "sync"),
    )
    op.create_index("job_syncs_by_sync", "job_syncs", ["sync"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("wake", BIG, nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("step", BIG, nullable=False),
        sa.Column("first_version", BIG, nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("place", sa.String(), nullable=True),
        sa.Column("empty", BIG, nullable=False),
        sa.Column("pages", BIG, nullable=False),
        sa.Column("items", BIG, nullable=False),
        sa.Column("expected", BIG, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.Column("positions", sa.Text(), nullable=False),
        sa.Column("waiting", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started", sa.Float(), nullable=True),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.Column("changed", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_by_lane", "jobs", ["connection", "resource", "state"], unique=False)
    op.create_index("jobs_by_state", "jobs", ["state", "changed"], unique=False)
    op.create_table(
        "lanes",
        sa.Column("connection", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("loaded", sa.Integer(), nullable=False),
        sa.Column("held", BIG, nullable=True),
        sa.PrimaryKeyConstraint("connection", "resource"),
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
        "seen",
        sa.Column("connection", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.PrimaryKeyConstraint("connection", "resource", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "syncs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("requested", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "unclaimed",
        sa.Column("sync", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("sync"),
    )
    op.create_index(op.f("ix_unclaimed_connection"), "unclaimed", ["connection"], unique=False)
    op.create_table(
        "workers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("beat", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
