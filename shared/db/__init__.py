"""Store the truth of a service in SQL."""

from shared.db.database import (
    Database,
    check_layout,
    notify_on_commit,
    other_sessions,
    stored_installation,
    stored_layout,
)
from shared.db.engines import Location, Schema, store_name
from shared.db.leader import leader_lock
from shared.db.migrations import (
    alembic_config,
    bring_to_head,
    drop_tables,
    installation_of,
    layout_of,
    run_migrations,
    set_installation,
    set_layout,
)
from shared.db.statements import (
    Big,
    BulkUpsert,
    CompiledSelect,
    Key,
    KeyLookup,
    db_now,
    in_array,
    json_array,
    machine_now,
)

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
    "bring_to_head",
    "check_layout",
    "db_now",
    "drop_tables",
    "in_array",
    "installation_of",
    "json_array",
    "layout_of",
    "leader_lock",
    "machine_now",
    "notify_on_commit",
    "other_sessions",
    "run_migrations",
    "set_installation",
    "set_layout",
    "store_name",
    "stored_installation",
    "stored_layout",
]
