"""Add the queue of items that the provider truncated, and what was read of the rest of them."""

import sqlalchemy as sa
from alembic import op

revision = "0108"
down_revision = "0107"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "truncated",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("listed", sa.LargeBinary(), nullable=False),
        sa.Column("sent", sa.LargeBinary(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("standing", sa.String(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("restarts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.Float(), nullable=False),
        sa.Column("failing_since", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("connection_id", "resource", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "truncated_by_age",
        "truncated",
        ["connection_id", "resource", "standing", "next_try_at", "id"],
        unique=False,
    )
    op.create_table(
        "truncated_pieces",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("following", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "resource", "id", "number"),
    )
