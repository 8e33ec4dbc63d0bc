"""Add the digest of what a lane holds, and compute it for the lanes that there are."""

from hashlib import blake2b

import sqlalchemy as sa
from alembic import op

revision = "0106"
down_revision = "0105"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CHUNK = 10_000
"""Rows read at a time: a lane can have millions."""
NEXT = sa.text(
    "SELECT id, digest FROM known_items WHERE connection_id = :connection_id "
    "AND resource = :resource AND id > :after ORDER BY id LIMIT :most"
)
SAVE = sa.text(
    "UPDATE lanes SET digest = :digest, invalidated = :invalidated "
    "WHERE connection_id = :connection_id AND resource = :resource"
)


def upgrade() -> None:
    empty = sa.Column("digest", sa.String(), nullable=False, server_default="0" * 32)
    op.add_column("lanes", empty)
    op.add_column("lanes", sa.Column("invalidated", BIG, nullable=False, server_default="0"))
    db = op.get_bind()
    for connection_id, resource in db.execute(sa.text("SELECT connection_id, resource FROM lanes")):
        lane = {"connection_id": connection_id, "resource": resource}
        digest, invalidated = summed(db, lane)
        db.execute(SAVE, {**lane, "digest": digest, "invalidated": invalidated})


def summed(db: sa.Connection, lane: dict[str, str]) -> tuple[str, int]:
    total, invalidated, after = 0, 0, ""
    while rows := db.execute(NEXT, {**lane, "after": after, "most": CHUNK}).all():
        after = rows[-1].id
        for id_, digest in rows:
            if digest:
                counted = blake2b(id_.encode() + digest, digest_size=16).digest()
                total += int.from_bytes(counted, "big")
            else:
                invalidated += 1
    return f"{total % (1 << 128):032x}", invalidated
