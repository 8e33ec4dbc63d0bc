"""Each connection knows the ids of what its provider meters. Older ones learn them later."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "connections", sa.Column("metered", sa.JSON(), nullable=False, server_default="{}")
    )
