"""The SQL truth of a service."""

from shared.db.among import among, listed
from shared.db.bulk import Bulk
from shared.db.clock import db_now
from shared.db.columns import Big, Key
from shared.db.database import Database, mark_news
from shared.db.fetch import Fetch
from shared.db.keyed import Keyed
from shared.db.migrating import configured, run_migrations
from shared.db.place import Schema

__all__ = [
    "Big",
    "Bulk",
    "Database",
    "Fetch",
    "Key",
    "Keyed",
    "Schema",
    "among",
    "configured",
    "db_now",
    "listed",
    "mark_news",
    "run_migrations",
]
