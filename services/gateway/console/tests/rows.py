"""A console over hand-written rows: no broker, no auth service."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from litestar import Litestar

from services.gateway.connections import queries as connections
from services.gateway.console import FIRST_PAGE, ROUTES
from services.gateway.context import AuthClient, GatewayContext, Watch
from services.gateway.items import queries as items
from services.gateway.security.browser import SignInFirst, on_sign_in_first
from services.gateway.security.guard import key_guard, provide_context
from services.gateway.settings import ConfiguredProvider, GatewaySettings
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.queries import Sync
from services.gateway.throttle import Throttle
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import timestamp
from shared.contracts.progress import JobProgress
from shared.contracts.topics import ITEMS
from shared.crypto import Signer
from shared.db import Database
from shared.errors import TributaryError
from shared.http import HttpClient
from shared.providers import load_providers
from shared.settings import Cluster, SecretStr, configured_for
from shared.web import error_body
from tests.support.serving import served
from tests.support.waiting import PATIENCE_S

SECRET = SecretStr("only for tests, 32 characters ok")
LOG = "log"
NOBODY = "http://127.0.0.1:9"


def settings(
    folder: Path,
    *,
    public_url: str = "http://localhost:8000",
    auth_url: str = NOBODY,
    keys_required: bool = False,
) -> GatewaySettings:
    configured = {
        slug: ConfiguredProvider(provider=one, simulated=True)
        for slug, one in load_providers().items()
    }
    return GatewaySettings(
        database=folder / "gateway.db",
        kafka=Cluster(bootstrap="127.0.0.1:9"),
        auth_url=auth_url,
        service_secret=SECRET,
        signing_secret=SECRET,
        providers=configured,
        public_url=public_url,
        keys_required=keys_required,
    )


@asynccontextmanager
async def opened_context(given: GatewaySettings) -> AsyncIterator[GatewayContext]:
    database = Database(given.database)
    await database.migrate("services.gateway:migrations")
    http = HttpClient()
    yield GatewayContext(
        settings=given,
        database=database,
        auth=AuthClient(http, url=given.auth_url, secret=SECRET),
        watch=Watch(),
        log_ids={ITEMS: LOG},
        page_tokens=Signer(SECRET),
        handles=Signer(SECRET, "handle"),
        served=lambda _: True,
        # Its clock stands still: after some failures one waits, however slow the machine is.
        throttle=Throttle(lambda: 1_000.0),
    )
    await http.aclose()
    await database.close()


def console_app(context: GatewayContext) -> Any:
    return Litestar(
        route_handlers=[FIRST_PAGE, *ROUTES],
        guards=[key_guard(lambda: context, keys_required=context.settings.keys_required)],
        dependencies={"context": provide_context(lambda: context)},
        exception_handlers={SignInFirst: on_sign_in_first, TributaryError: error_body},
        openapi_config=None,
        logging_config=None,
    )


@asynccontextmanager
async def browsing(context: GatewayContext, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the console, as behind a proxy at its public address; yield a client with cookies."""
    public = context.settings.public_url.partition("://")[2]
    async with (
        served(lambda _: console_app(context)) as url,
        httpx.AsyncClient(
            base_url=url, headers={"host": public} | headers, timeout=PATIENCE_S
        ) as http,
    ):
        yield http


def connection(id_: str, provider: str, **change: Any) -> Connection:
    now = timestamp()
    made = Connection(
        id=id_,
        version=1,
        generation=1,
        org_id="demo",
        user_id="demo",
        provider=provider,
        client_id="client",
        account=Account(id="4711", name="Rivermouth Trading"),
        status="active",
        token_version=1,
        created_at=now,
        updated_at=now,
    )
    return msgspec.structs.replace(made, **change)


async def add_connection(context: GatewayContext, made: Connection) -> None:
    async with context.database.write() as db:
        await connections.save(db, made)


async def add_items(
    context: GatewayContext, made: Connection, resource: str, rows: Mapping[str, Mapping[str, Any]]
) -> None:
    """Store an ordinary item for each id in ``rows``, changed as it says."""
    ordinary = {
        "connection_id": made.id,
        "resource": resource,
        "provider": made.provider,
        "org_id": made.org_id,
        "generation": 1,
        "version": 1,
        "partition": 0,
        "offset": 0,
        "deleted": False,
        "parent_id": None,
        "url": None,
        "created_at": "2026-03-01T08:00:00Z",
        "modified_at": "2026-05-02T09:30:00Z",
        "synced_at": "2026-06-03T10:00:00.000Z",
        "raw": b"{}",
        "raw_bytes": 2,
        "truncated": b"",
        "digest": "d",
    }
    written = [ordinary | {"id": id_, "name": id_} | dict(row) for id_, row in sorted(rows.items())]
    async with context.database.write() as db:
        await items.write(
            db, [row | {"name_folded": str(row["name"]).casefold()} for row in written]
        )


async def add_sync(
    context: GatewayContext, made: Connection, jobs: Mapping[str, Mapping[str, Any]]
) -> str:
    """Store a whole sync. ``jobs`` maps resource to its job's progress; others have none yet."""
    id_ = f"sync-{made.id}"
    resources = tuple(
        one.slug
        for one in configured_for(made.provider, context.settings.providers).provider.resources
    )
    sync = Sync(
        id=id_,
        connection_id=made.id,
        mode="full",
        resources=resources,
        whole=True,
        trigger="connected",
        requested_at=time.time(),
    )
    bodies = [
        msgspec.convert(
            {
                "sync_id": id_,
                "job_id": f"job-{slug}",
                "step": 1,
                "connection_id": made.id,
                "resource": slug,
            }
            | dict(job),
            JobProgress,
        )
        for slug, job in jobs.items()
    ]
    async with context.database.write() as db:
        await syncs.add(db, sync)
        await syncs.save_progress(db, bodies)
        await syncs.settle(db, log_id=LOG)
    return id_
