"""Upgrade the stores in steps, each of which can be killed anywhere and repeated.

  begin      auth's tables are migrated; their layout becomes "being upgraded", so nothing starts
  topics     all of ours are deleted with their records, and created again
  fetcher    its tables are dropped and created again: nothing counts as sent
  gateway    API keys and sign-ins are migrated; what was read from the topics is emptied
  finish     every connection is put into auth's outbox, and auth's tables get the new layout:
             one transaction

Until the last one everything refuses to start. Rows in older outboxes are dropped: they follow an
older contract, and every connection is sent as a whole anyway.
"""

from __future__ import annotations

from typing import Final

from services.auth import store as auth_store
from services.auth.settings import auth_settings
from services.auth.upgrade import send_connections_again
from services.gateway.store import empty_read_model
from shared.contracts.topics import dead_letters
from shared.db import Database, bring_to_head, drop_tables, set_layout
from shared.failpoints import failpoint
from shared.installation import database_location
from shared.kafka import drop_topics, ensure_topics
from shared.layout import LAYOUT, UPGRADING
from shared.settings import Cluster, Settings

_FORMER: Final = ("tributary.pages.v1", "tributary.pages.background.v1")
FORMER_TOPICS: Final = (*_FORMER, *(dead_letters(topic) for topic in _FORMER))
"""Topics of older layouts that have another name today."""


async def begin(settings: Settings) -> None:
    """Migrate auth's tables and mark them as being upgraded.

    Raise ``DecryptFailed`` or ``UnknownKey``, and change nothing, if the keys are not those of the
    stored tokens.
    """
    keyring = auth_settings(settings).keyring
    database = Database(database_location(settings, "auth"), durable=True)
    try:
        async with database.changing() as db:
            await bring_to_head(db, "services.auth:migrations")
            await auth_store.prove_keys(db, keyring)
            await set_layout(db, UPGRADING)
    finally:
        await database.close()
    failpoint("upgrade_begun")


async def remake_topics(cluster: Cluster, *, local: bool, installation: str | None) -> None:
    """Create all topics anew; ``local`` means the local broker's small partition counts."""
    await drop_topics(cluster, *FORMER_TOPICS)
    failpoint("topics_dropped")
    await ensure_topics(cluster, local=local, installation=installation)
    failpoint("topics_made")


async def remake_fetcher(settings: Settings) -> None:
    database = Database(database_location(settings, "fetcher"))
    try:
        async with database.changing() as db:
            await drop_tables(db)
            await bring_to_head(db, "services.fetcher:migrations")
            await set_layout(db, LAYOUT)
    finally:
        await database.close()
    failpoint("fetcher_remade")


async def upgrade_gateway(settings: Settings) -> None:
    database = Database(database_location(settings, "gateway"))
    try:
        async with database.changing() as db:
            await bring_to_head(db, "services.gateway:migrations")
            await empty_read_model(db)
            await set_layout(db, LAYOUT)
    finally:
        await database.close()
    failpoint("gateway_emptied")


async def finish(settings: Settings) -> int:
    """Return how many connections are synced again at the next start."""
    database = Database(database_location(settings, "auth"), durable=True)
    try:
        async with database.changing() as db:
            loaded = await send_connections_again(db)
            await set_layout(db, LAYOUT)
    finally:
        await database.close()
    return loaded
