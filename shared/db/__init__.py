"""The SQL truth of a service."""

from shared.db.bulk import Bulk
from shared.db.database import Database, mark_news, run_migrations

__all__ = ["Bulk", "Database", "mark_news", "run_migrations"]
