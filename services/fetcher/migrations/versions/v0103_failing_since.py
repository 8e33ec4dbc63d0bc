"""Since when a part, or a job without parts, has failed, and how long its provider asks to wait."""

import sqlalchemy as sa
from alembic import op

revision = "0103"
down_revision = "0102"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("failing_since", sa.Float(), nullable=True))
    op.add_column("parts", sa.Column("failing_since", sa.Float(), nullable=True))
    op.add_column("parts", sa.Column("not_before", sa.Float(), nullable=True))
    op.drop_column("parts", "attempts")
