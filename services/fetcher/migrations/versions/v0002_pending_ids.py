"""What a job is about to send, known before it is sent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("pending", sa.Text(), nullable=False, server_default="[]"))
