"""Define the tables of auth.

``created_at`` and ``updated_at`` of a connection are RFC 3339; all other times are epoch seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from shared.log_marks import log_marks_table
from shared.outbox import outbox_table

metadata = MetaData()

connections = Table(
    "connections",
    metadata,
    Column("id", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("org_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("client_id", String, nullable=False),
    Column("account_id", String, nullable=False),
    Column("account_name", String, nullable=True),
    Column("grantee", String, nullable=False),  # empty for none: NULLs would not be unique
    Column("metered", JSON, nullable=False, server_default="{}"),
    Column("status", String, nullable=False),
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("reason", String, nullable=True),
    Column("scopes", JSON, nullable=False),
    Column("resources", JSON, nullable=False),
    Column("token_version", Integer, nullable=False),
    Column("sync_id", String, nullable=True),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    UniqueConstraint(
        "org_id",
        "user_id",
        "provider",
        "client_id",
        "account_id",
        "grantee",
        name="one_connection_per_identity",
    ),
    Index("connections_of_a_grant", "provider", "client_id", "account_id", "grantee"),
)

# ``attempt_*``, ``refresh_until`` and ``replays`` are the journal of a refresh under way:
# ``attempt_id`` stays until the outcome is known, and nobody else refreshes before
# ``refresh_until``.
credentials = Table(
    "credentials",
    metadata,
    Column("connection_id", String, ForeignKey("connections.id"), primary_key=True),
    Column("access_sealed", Text, nullable=False),
    Column("access_expires_at", Float, nullable=True),
    Column("refresh_sealed", Text, nullable=True),
    Column("refresh_expires_at", Float, nullable=True),
    Column("fingerprint", String, nullable=True),  # SHA-256 of the refresh token
    Column("attempt_id", String, nullable=True),
    Column("attempt_fingerprint", String, nullable=True),
    Column("refresh_until", Float, nullable=False),
    Column("replays", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("retry_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
)

flows = Table(
    "flows",
    metadata,
    Column("id", String, primary_key=True),
    Column("provider", String, nullable=False),
    Column("org_id", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("return_url", String, nullable=True),
    Column("redirect_uri", String, nullable=False),
    Column("status", String, nullable=False),
    Column("connection_id", String, nullable=True),
    Column("error_code", String, nullable=True),
    Column("error_detail", String, nullable=True),
    Column("created_at", Float, nullable=False, index=True),
    Column("expires_at", Float, nullable=False),
    Column("state_hash", String, nullable=False, unique=True),
    Column("state_sealed", Text, nullable=False),
    Column("verifier_sealed", Text, nullable=False),
    Column("nonce_hash", String, nullable=True),  # None until the link was opened
    Column("used", Integer, nullable=False),
)

canary = Table(
    "canary",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sealed", Text, nullable=False),
)

outbox = outbox_table(metadata)
log_marks = log_marks_table(metadata)
