"""Add the parts of a walk, the cursors it has seen, the part of each item, and dropped records.

Walks under way lose their place: their jobs start again from the beginning.
"""

import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = "0100"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "parts",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("lists", sa.Boolean(), nullable=False),
        sa.Column("schema_key", sa.String(), nullable=True),
        sa.Column("found_in", KEY, nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("first_version", BIG, nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("schema_digest", sa.LargeBinary(), nullable=True),
        sa.Column("page_size", sa.Integer(), nullable=False),
        sa.Column("pages", BIG, nullable=False),
        sa.Column("items", BIG, nullable=False),
        sa.Column("empty_pages", BIG, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("tried_again", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("next_try_at", sa.Float(), nullable=False),
        sa.Column("stale_since", sa.Float(), nullable=True),
        sa.Column("read_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("connection_id", "resource", "id"),
    )
    op.create_index(
        "parts_to_read",
        "parts",
        ["connection_id", "resource", "job_id", "turn", "position", "id"],
        unique=False,
        postgresql_where=sa.text("outcome IS NULL"),
        sqlite_where=sa.text("outcome IS NULL"),
    )
    op.create_table(
        "seen_cursors",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("part", KEY, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "resource", "part", "digest"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dropped_records",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "resource", "digest"),
        sqlite_with_rowid=False,
    )
    op.drop_table("cursors")
    op.add_column("known_items", sa.Column("part", KEY, nullable=True))
    op.execute("UPDATE jobs SET cursor = 'null' WHERE kind = 'load'")
    op.drop_column("jobs", "part")
    op.drop_column("jobs", "empty_pages")
