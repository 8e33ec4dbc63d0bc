"""The SQL truth of a service."""

from shared.db.database import Database, notify_on_commit
from shared.db.engines import Location, Schema
from shared.db.migrations import alembic_config, run_migrations
from shared.db.statements import Big, BulkUpsert, CompiledSelect, Key, KeyLookup, db_now, in_array, json_array

__all__ = [
    "Big",
    "BulkUpsert",
    "CompiledSelect",
    "Database",
    "Key",
    "KeyLookup",
    "Location",
    "Schema",
    "alembic_config",
    "db_now",
    "in_array",
    "json_array",
    "notify_on_commit",
    "run_migrations",
]
