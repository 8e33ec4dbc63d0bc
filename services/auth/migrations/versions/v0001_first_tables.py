"""Connections, their credentials, consent flows, the canary and the outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _connections()
    _credentials()
    _flows()
    op.create_table(
        "canary",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sealed", sa.Text(), nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", BIG, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_not_before", "outbox", ["not_before"])


def _connections() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("account_name", sa.String(), nullable=True),
        sa.Column("grantee", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sync_id", sa.String(), nullable=True),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("updated", sa.String(), nullable=False),
        sa.UniqueConstraint(
            "org_id",
            "user_id",
            "provider",
            "client_id",
            "account_id",
            "grantee",
            name="one_connection_per_identity",
        ),
    )
    op.create_index(
        "connections_of_a_grant", "connections", ["provider", "client_id", "account_id", "grantee"]
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("connection_id", sa.String(), sa.ForeignKey("connections.id"), primary_key=True),
        sa.Column("access_sealed", sa.Text(), nullable=False),
        sa.Column("access_expires", sa.Float(), nullable=True),
        sa.Column("refresh_sealed", sa.Text(), nullable=True),
        sa.Column("refresh_expires", sa.Float(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("attempt_id", sa.String(), nullable=True),
        sa.Column("attempt_fingerprint", sa.String(), nullable=True),
        sa.Column("refresh_until", sa.Float(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.Float(), nullable=False),
        sa.Column("last_used", sa.Float(), nullable=False),
    )


def _flows() -> None:
    op.create_table(
        "flows",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("return_url", sa.String(), nullable=True),
        sa.Column("redirect_uri", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("connection_id", sa.String(), nullable=True),
        sa.Column("error_code", sa.String(), nullable=True),
        sa.Column("error_detail", sa.String(), nullable=True),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("expires", sa.Float(), nullable=False),
        sa.Column("state_hash", sa.String(), nullable=False, unique=True),
        sa.Column("state_sealed", sa.Text(), nullable=False),
        sa.Column("verifier_sealed", sa.Text(), nullable=False),
        sa.Column("nonce_hash", sa.String(), nullable=True),
        sa.Column("used", sa.Integer(), nullable=False),
    )
    op.create_index("ix_flows_created", "flows", ["created"])
