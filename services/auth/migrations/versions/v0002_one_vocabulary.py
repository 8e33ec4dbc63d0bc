"""Columns take the names that the contracts have; a connection can be paused. Nothing is lost."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RENAMED: Final = {
    "connections": {"epoch": "token_version", "created": "created_at", "updated": "updated_at"},
    "credentials": {
        "access_expires": "access_expires_at",
        "refresh_expires": "refresh_expires_at",
        "last_used": "last_used_at",
    },
    "flows": {"created": "created_at", "expires": "expires_at"},
}


def upgrade() -> None:
    op.drop_index("ix_flows_created", "flows")
    for table, columns in RENAMED.items():
        for before, after in columns.items():
            op.alter_column(table, before, new_column_name=after)
    op.create_index("ix_flows_created_at", "flows", ["created_at"])
    op.add_column(
        "connections", sa.Column("paused", sa.Boolean(), nullable=False, server_default=sa.false())
    )
