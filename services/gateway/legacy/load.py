"""Load a connection's items in the shape of the original app; issue and open handles."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.connections import queries as connections
from services.gateway.context import GatewayContext
from services.gateway.http.fields import TIME
from services.gateway.items import queries as items
from services.gateway.store import READ_MODEL
from services.gateway.syncs import queries as syncs
from services.gateway.syncs.describe import ResourceState, SyncView, describe_sync, view
from services.gateway.syncs.queries import Sync
from services.gateway.syncs.request import add_sync, chosen_resources
from shared import clock
from shared.connector import Original, Provider
from shared.contracts.connections import Connection
from shared.contracts.envelope import timestamp
from shared.contracts.progress import FINAL
from shared.errors import BadRequest, Conflict, Upstream
from shared.settings import configured_for

FRESH_S: Final = 30.0
WAIT_S: Final = 600.0
CONSENT_WAIT_S: Final = 5.0
PATIENT_S: Final = 30.0
"""A wait that is over sooner is waited for: rate limits last up to so long, outages longer."""
LONGEST_HEADER: Final = 2_000
_NONE: Final = (
    "No credentials found. Connect the account first; if that failed, its window says why."
)


class OriginalItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item in the shape of the original app."""

    id: Annotated[
        str | None,
        Meta(
            description="The provider's id, with the resource where the id alone is not unique.",
            examples=["1f2e3d4c_Page"],
        ),
    ] = None
    type: Annotated[str | None, Meta(description="The type of the object.", examples=["Page"])] = (
        None
    )
    directory: Annotated[bool, Meta(description="Always false.", examples=[False])] = False
    parent_path_or_name: Annotated[
        str | None, Meta(description="The name of the object that contains it.", examples=["Plans"])
    ] = None
    parent_id: Annotated[
        str | None,
        Meta(description="The id of the object that contains it.", examples=["9a8b7c6d"]),
    ] = None
    name: Annotated[str | None, Meta(description="The item's name.", examples=["Launch plan"])] = (
        None
    )
    creation_time: Annotated[
        str | None,
        Meta(
            description="When it was created at the provider.",
            examples=["2025-11-02T14:05:00.000Z"],
            extra_json_schema=TIME,
        ),
    ] = None
    last_modified_time: Annotated[
        str | None,
        Meta(
            description="When it was last changed at the provider.",
            examples=["2026-01-30T08:12:00.000Z"],
            extra_json_schema=TIME,
        ),
    ] = None
    url: Annotated[
        str | None,
        Meta(
            description="Its page at the provider.",
            examples=["https://app.acme.example/pages/1f2e3d4c"],
            extra_json_schema={"format": "uri"},
        ),
    ] = None
    children: Annotated[list[str] | None, Meta(description="Always null.", examples=[None])] = None
    mime_type: Annotated[str | None, Meta(description="Always null.", examples=[None])] = None
    delta: Annotated[str | None, Meta(description="Always null.", examples=[None])] = None
    drive_id: Annotated[str | None, Meta(description="Always null.", examples=[None])] = None
    visibility: Annotated[bool, Meta(description="Always true.", examples=[True])] = True


async def original_rows(
    db: AsyncConnection, connection_id: str, provider: Provider
) -> list[OriginalItem]:
    """Return one row per item of every resource, in resource order, then by parent, then by id."""
    parents = {one.original.parent_resource for one in provider.resources}
    names: dict[str, dict[str, str]] = {}
    rows: list[OriginalItem] = []
    for resource in provider.resources:
        found = await items.outlines(db, connection_id, resource.slug)
        if resource.slug in parents:
            names[resource.slug] = {row.id: row.name for row in found}
        rows += _shown(
            found, resource.original, names.get(resource.original.parent_resource or "", {})
        )
    return rows


def _shown(
    found: Sequence[Any], original: Original, parents: Mapping[str, str]
) -> Iterator[OriginalItem]:
    for row in found:
        known: dict[str, str | None] = {
            "id": row.id,
            "last": _last(row.id),
            "name": row.name,
            "parent_id": row.parent_id,
            "parent_last": _last(row.parent_id),
            "parent_name": parents.get(row.parent_id or ""),
        }
        yield OriginalItem(
            id=_filled(original.id, known),
            type=original.type,
            parent_path_or_name=_filled(original.parent_path_or_name, known),
            parent_id=_filled(original.parent_id, known),
            name=_filled(original.name, known),
            creation_time=row.created_at,
            last_modified_time=row.modified_at,
            url=items.web_link(row.url),
        )


def _last(id_: str | None) -> str | None:
    return None if id_ is None else id_.rpartition("/")[2]


def _filled(template: str | None, known: Mapping[str, str | None]) -> str | None:
    """Return the text of a template, None if it is absent or names anything absent."""
    if template is None or any(
        value is None and f"{{{name}}}" in template for name, value in known.items()
    ):
        return None
    return template.format_map(known)


async def newest_connection(
    *, provider: str, org_id: str, user_id: str, context: GatewayContext
) -> Connection | None:
    """Return the user's connection that was consented to last, of those that can be synced.

    Raises ``Forbidden`` for an organisation that is not the caller's.
    """
    context.check_org(org_id)
    async with context.database.read() as db:
        found = await connections.find(
            db, org_id=org_id, user_id=user_id, provider=provider, statuses=("active", "degraded")
        )
    return max(found, key=_consented) if found else None


def _consented(connection: Connection) -> tuple[str, str, str]:
    """Return a sort key: ``sync_id`` is the UUIDv7 of the last consent's event."""
    return connection.sync_id or "", connection.created_at, connection.id


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that was not read completely, and when it last was: RFC 3339, None for never."""

    resource: str
    state: str
    complete_at: str | None


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """All items of a connection that are held, and what is incomplete about them."""

    rows: list[OriginalItem]
    gaps: tuple[Gap, ...]


async def load_everything(
    connection: Connection,
    *,
    context: GatewayContext,
    strict: bool = False,
    wait_s: float = WAIT_S,
    fresh_s: float = FRESH_S,
) -> Loaded:
    """Sync everything, wait for it, and return all items that are held.

    A whole sync that is running is joined; a recent complete result is reused; otherwise a new sync
    starts. The wait ends after ``wait_s``, or once all that is left waits for a provider.

    Raises ``Conflict`` when the account must be connected again. Raises ``Upstream``, naming each
    resource and why, when nothing was ever read, and with ``strict`` when anything is incomplete.
    """
    provider = configured_for(connection.provider, context.settings.providers).provider
    deadline = time.monotonic() + wait_s
    async with context.database.read() as db:
        running = await syncs.unfinished(db, connection.id)
    for one in running:
        await _settled(one, deadline, context)
    sync = next((one for one in running if one.whole), None)
    shown = await _settled(
        sync or await _join_or_start(connection, provider, context, fresh_s), deadline, context
    )
    async with context.database.read() as db:
        now = await connections.get(db, connection.id)
        if now is None or now.status == "disconnected":
            raise Conflict(
                "The account was disconnected while it was syncing.", code="disconnected"
            )
        gaps = await _gaps(db, connection, shown)
        rows = await original_rows(db, connection.id, provider)
    if gaps and (strict or not _ever_read(rows, gaps, shown)):
        raise Upstream(_failures(shown, provider), code="load_failed")
    return Loaded(rows=rows, gaps=gaps)


async def _settled(sync: Sync, deadline: float, context: GatewayContext) -> SyncView:
    """Return the sync once it has ended or only waits, and at ``deadline`` (monotonic seconds)."""
    while True:
        shown = await describe_sync(sync.id, context=context)
        left = deadline - time.monotonic()
        if shown.state in FINAL or left <= 0 or _only_waits(shown):
            return shown
        await context.watch.wait(min(left, 0.5))


def _only_waits(shown: SyncView) -> bool:
    """Return True if all that is left waits for longer than ``PATIENT_S``."""
    left = [one for one in shown.resources if one.state not in FINAL]
    if any(one.state != "waiting" for one in left):
        return False
    bound = timestamp(clock.now() + PATIENT_S)
    return all(one.waiting_until is not None and one.waiting_until > bound for one in left)


async def _gaps(db: AsyncConnection, connection: Connection, shown: SyncView) -> tuple[Gap, ...]:
    gaps = []
    for one in shown.resources:
        if one.state != "done":
            at = await connections.last_complete_at(db, connection.id, one.resource)
            gaps.append(Gap(resource=one.resource, state=one.state, complete_at=at))
    return tuple(gaps)


def _ever_read(rows: Sequence[OriginalItem], gaps: Sequence[Gap], shown: SyncView) -> bool:
    complete = len(gaps) < len(shown.resources) or any(gap.complete_at for gap in gaps)
    return complete or bool(rows) or any(one.pages for one in shown.resources)


def incomplete_header(gaps: Sequence[Gap]) -> str:
    """Return a list in the syntax of RFC 9651: resources, each with its state and ``stale_since``.

    It has at most ``LONGEST_HEADER`` bytes; what does not fit is counted in ``more``.
    """
    entries: list[str] = []
    for number, gap in enumerate(gaps):
        since = f';stale_since="{gap.complete_at}"' if gap.complete_at else ""
        entry = f"{gap.resource};state={gap.state}{since}"
        if len(", ".join([*entries, entry])) > LONGEST_HEADER - len(", more;count=9999"):
            return ", ".join([*entries, f"more;count={len(gaps) - number}"])
        entries.append(entry)
    return ", ".join(entries)


async def _join_or_start(
    connection: Connection, provider: Provider, context: GatewayContext, fresh_s: float
) -> Sync:
    async with context.database.write(lock=READ_MODEL) as db:
        # Under the lock: of two callers at once, the second finds the sync of the first.
        newest = await syncs.newest_whole(db, connection.id)
        if newest is not None:
            if newest.ended_at is None:
                return newest
            fresh = clock.now() - newest.ended_at < fresh_s
            if fresh and (await view(db, newest)).state == "done":
                return newest
        connections.check_loadable(connection, provider)
        return await add_sync(
            db, connection, provider, resources=chosen_resources(None, provider), trigger="legacy"
        )


def _failures(shown: SyncView, provider: Provider) -> str:
    missing = [one for one in shown.resources if one.state != "done"]
    sentences = [f"{one.resource} {one.state}: {_reason(one)}" for one in missing]
    return " ".join([f"{provider.name} could not be synced completely.", *sentences])


def _reason(one: ResourceState) -> str:
    if one.error is not None:
        return one.error.detail
    if one.state in FINAL:
        return "no reason was given."
    total = "" if one.expected is None else f" of {one.expected}"
    waits = "" if one.waiting_reason is None else f" {one.waiting_reason}"
    return f"{one.items}{total} read so far.{waits} Ask again to keep waiting; nothing is lost."


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    connection: str


def handle_for(connection: Connection, *, context: GatewayContext) -> dict[str, str]:
    signed = context.handles.sign(connection.id.encode(), connection.provider)
    return {"connection": signed, "provider": connection.provider, "status": connection.status}


async def given_handle(text: str, *, provider: str, context: GatewayContext) -> Connection:
    """Return the connection of a handle, given as JSON text.

    Raise ``BadRequest`` or ``BadToken``.
    """
    try:
        handle = msgspec.json.decode(text, type=Handle)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise BadRequest(
            "credentials must be the JSON that /credentials returned.", code="bad_handle"
        ) from None
    # Signed for one provider, so a handle does not work under another one's path.
    id_ = context.handles.verify(handle.connection, provider).decode()
    async with context.database.read() as db:
        connection = await connections.get(db, id_, org=context.org)
    if connection is None or connection.status == "disconnected":
        raise BadRequest("This account was disconnected. Connect it again.", code="not_connected")
    return connection


async def pending_handle(
    *, provider: str, org_id: str, user_id: str, context: GatewayContext
) -> dict[str, str]:
    """Return the handle of the newest active connection.

    If there is none, wait up to five seconds, but only while a consent of that user is pending. The
    original client asks only once, and may ask too early when a page of the provider cuts the popup
    off from its opener.

    Raises ``BadRequest`` when there is none, and ``Forbidden`` for an organisation that is not the
    caller's.
    """
    context.check_org(org_id)
    deadline = time.monotonic() + CONSENT_WAIT_S
    while True:
        found = await newest_connection(
            provider=provider, org_id=org_id, user_id=user_id, context=context
        )
        if found is not None:
            return handle_for(found, context=context)
        async with context.database.read() as db:
            waiting = await connections.has_pending_flow(
                db, org_id=org_id, user_id=user_id, provider=provider
            )
        left = deadline - time.monotonic()
        if not waiting or left <= 0:
            raise BadRequest(_NONE, code="not_connected")
        await context.watch.wait(min(left, 0.5))
