"""The SQL truth of a service."""

from shared.db.database import Database, run_migrations

__all__ = ["Database", "run_migrations"]
