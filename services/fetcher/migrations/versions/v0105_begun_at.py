"""Add the time of the first page of a part's walk."""

import sqlalchemy as sa
from alembic import op

revision = "0105"
down_revision = "0104"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("parts", sa.Column("begun_at", sa.Float(), nullable=True))
    # The first page of a walk under way was not noted; its last one is the nearest time we know.
    op.execute("UPDATE parts SET begun_at = read_at")
