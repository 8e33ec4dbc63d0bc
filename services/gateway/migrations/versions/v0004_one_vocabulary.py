"""Rename columns to the names in the contracts.

API keys and sessions are kept. Everything else is read from the topics again.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")
REFILLED: Final = (
    "connections",
    "flows",
    "items",
    "outbox",
    "positions",
    "replays",
    "sync_jobs",
    "syncs",
)
RENAMED: Final = {
    "api_keys": {
        "created": "created_at",
        "expires": "expires_at",
        "last_used": "last_used_at",
        "revoked": "revoked_at",
    },
    "sessions": {"created": "created_at", "used": "used_at"},
}


def upgrade() -> None:
    op.drop_index("ix_sessions_used", "sessions")
    for table, columns in RENAMED.items():
        for before, after in columns.items():
            op.alter_column(table, before, new_column_name=after)
    op.create_index("ix_sessions_used_at", "sessions", ["used_at"])
    for table in REFILLED:
        op.drop_table(table)
    create_connections()
    create_syncs()
    create_items()
    create_log_tables()


def create_connections() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("connections_by_owner", "connections", ["org_id", "user_id", "provider"])
    op.create_table(
        "flows",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_flows_expires_at", "flows", ["expires_at"])


def create_syncs() -> None:
    op.create_table(
        "syncs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("resources", sa.LargeBinary(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("requested_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("syncs_by_connection", "syncs", ["connection_id", "requested_at"])
    op.create_table(
        "sync_jobs",
        sa.Column("sync_id", sa.String(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("step", BIG, nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("readable", sa.Boolean(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sync_id", "resource"),
    )
    op.create_index("ix_sync_jobs_revision", "sync_jobs", ["revision"])
    op.create_index("sync_jobs_unreadable", "sync_jobs", ["final", "readable"])


def create_items() -> None:
    op.create_table(
        "items",
        sa.Column("id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("generation", BIG, nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("parent_id", KEY, nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("created_at", sa.String(), nullable=True),
        sa.Column("modified_at", sa.String(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("raw_bytes", BIG, nullable=True),
        sa.Column("synced_at", sa.String(), nullable=False),
        sa.Column("name_folded", sa.String(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.String(), nullable=True),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", BIG, nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "resource", "id"),
    )
    op.create_index("items_counted", "items", ["connection_id", "resource", "deleted"])


def create_log_tables() -> None:
    op.create_table(
        "positions",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("next_offset", BIG, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
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
    op.create_index("ix_outbox_not_before", "outbox", ["not_before"])
    op.create_table(
        "replays",
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("dead_letter_id", sa.String(), nullable=False),
        sa.Column("begun_at", sa.Float(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("offset", BIG, nullable=True),
        sa.PrimaryKeyConstraint("log_id", "dead_letter_id"),
    )
