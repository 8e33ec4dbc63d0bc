"""Add the marks of the outbox in the topics, and since when a lane is not whole."""

import sqlalchemy as sa
from alembic import op

revision = "0109"
down_revision = "0108"
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
    op.add_column("lanes", sa.Column("lost_at", sa.Float(), nullable=True))
