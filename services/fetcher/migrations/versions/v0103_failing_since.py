"""Add the time since which a part or job has been failing, and the provider's requested wait."""

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
