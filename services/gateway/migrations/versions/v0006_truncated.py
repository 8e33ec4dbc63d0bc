"""Add the fields of an item that the provider truncated; empty stands for none."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("truncated", sa.LargeBinary(), nullable=False, server_default=sa.text("''"))
    op.add_column("items", column)
