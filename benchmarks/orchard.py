"""A provider in memory with as many tables as are wanted, each of which never ends."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from shared.connector import (
    Bucket,
    Call,
    Cursor,
    Identity,
    OAuth2,
    Original,
    Page,
    Provider,
    Record,
    Resource,
    RetryLater,
)
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import new_id, timestamp

PAGE = 20
SMALL = ("table-0000", "table-0001", "table-0002")


def LARGE(tables: int) -> tuple[str, ...]:
    return tuple(f"table-{number:04}" for number in range(tables))


def orchard(tables: int) -> Provider:
    return Provider(
        slug="orchard",
        name="Orchard",
        api_url="",
        oauth=OAuth2(authorize_url="", token_url="", identity=Identity(account_id=(), account_name=())),
        resources=tuple(Resource(slug=slug, label=slug, original=Original(type=slug)) for slug in LARGE(tables)),
        buckets=(Bucket(name="all", requests=1000, window_s=1),),
        setup_url="",
        consent_note="",
    )


def connection(id_: str, tables: tuple[str, ...], **changes: Any) -> Connection:
    source = Connection(
        id=id_,
        version=1,
        generation=1,
        org_id=id_,
        user_id="user",
        provider="orchard",
        client_id="",
        account=Account(id=id_),
        status="active",
        resources=tables,
        epoch=1,
        sync_id=new_id(),
        created=timestamp(),
        updated=timestamp(),
    )
    return msgspec.structs.replace(source, **changes)


class Endless:
    """Satisfies ``Connector``, and stands for the tokens that nothing here needs."""

    def __init__(self, page_s: float) -> None:
        self._page_s = page_s
        self.over: set[str] = set()

    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        await asyncio.sleep(self._page_s)
        number = cursor["page"] + 1 if cursor else 0
        records = [Record(id=f"{number}-{n}", name=f"{n}", raw={"n": n}) for n in range(PAGE)]
        return Page(records=records, cursor={"page": number})

    async def expected(self, call: Call, resource: str) -> int | None:
        return None

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Page:
        raise RetryLater("Nothing is read again here.")

    def problem(self, response: object) -> None:
        return None

    def limits(self, response: object) -> tuple[Bucket, ...]:
        return ()

    def forget(self, connection: str) -> None:
        """As ``Tokens`` has it."""
