"""Add the marks of the outbox in the topics."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "log_marks",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("log_id", sa.String(), nullable=False),
        sa.Column("next_offset", BIG, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
