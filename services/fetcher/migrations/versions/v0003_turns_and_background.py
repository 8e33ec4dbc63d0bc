"""How many wake-ups of a connection may be out, and which jobs nobody waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connections", sa.Column("parallel", sa.Integer(), nullable=False, server_default="4"))
    op.create_index("jobs_by_turn", "jobs", ["connection", "state", "changed"], unique=False)
    op.add_column("jobs", sa.Column("background", sa.Boolean(), nullable=False, server_default=sa.false()))
