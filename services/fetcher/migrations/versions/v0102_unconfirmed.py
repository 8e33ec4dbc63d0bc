"""Add the queue of items that a walk did not find, and the time when each lane asks for them."""

import sqlalchemy as sa
from alembic import op

revision = "0102"
down_revision = "0101"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "unconfirmed",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("part", KEY, nullable=True),
        sa.Column("version", BIG, nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("absent_since", sa.Float(), nullable=True),
        sa.Column("merged_into", KEY, nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "resource", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "unconfirmed_by_age",
        "unconfirmed",
        ["connection_id", "resource", "asked_at", "id"],
        unique=False,
    )
    op.add_column("lanes", sa.Column("confirm_at", sa.Float(), nullable=True))
    op.drop_column("lanes", "held_deletions")
