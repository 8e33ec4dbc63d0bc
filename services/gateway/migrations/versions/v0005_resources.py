"""Keep for each resource when it was last read completely, and what of it is stale."""

import json
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY: Final = sa.String().with_variant(sa.String(collation="C"), "postgresql")
STALE: Final = sa.text("stale IS NOT NULL")
ENDED: Final = sa.text(
    "SELECT body FROM sync_jobs JOIN syncs ON syncs.id = sync_jobs.sync_id "
    "WHERE final AND readable ORDER BY revision"
)


def upgrade() -> None:
    resources = op.create_table(
        "resources",
        sa.Column("connection_id", KEY, nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("ended_at", sa.String(), nullable=False),
        sa.Column("complete_at", sa.String(), nullable=True),
        sa.Column("stale", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("connection_id", "resource"),
    )
    op.create_index(
        "resources_stale",
        "resources",
        ["connection_id"],
        postgresql_where=STALE,
        sqlite_where=STALE,
    )
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for (body,) in op.get_bind().execute(ENDED):
        job = json.loads(bytes(body))
        key = job["connection_id"], job["resource"]
        rows[key] = ended(job, before=rows.get(key, {}))
    if rows:
        op.bulk_insert(resources, list(rows.values()))


def ended(job: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    done = job["state"] == "done"
    return {
        "connection_id": job["connection_id"],
        "resource": job["resource"],
        "ended_at": job["ended_at"] or "",
        "complete_at": job["ended_at"] if done else before.get("complete_at"),
        "stale": None if done else left_stale(job),
    }


def left_stale(job: dict[str, Any]) -> bytes | None:
    parts = (job.get("receipt") or {}).get("parts")
    named = parts.get("named", []) if parts else []
    if not job["error"] or (parts and not named):
        return None
    left = {name: job[name] for name in ("connection_id", "resource")}
    left |= {name: job["error"][name] for name in ("code", "detail")}
    return json.dumps({**left, "parts": named}).encode()
