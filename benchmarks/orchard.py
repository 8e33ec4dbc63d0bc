"""Simulate providers in memory with any number of tables, each of which never ends."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from typing_extensions import override

from shared.connector import (
    Bucket,
    Call,
    Connector,
    Identity,
    Lookup,
    OAuth2,
    Original,
    Page,
    Part,
    PartSchema,
    Place,
    Provider,
    Record,
    Resource,
    Response,
    RetryLater,
    Uncounted,
)
from shared.contracts.connections import Account, Connection
from shared.contracts.envelope import new_id, timestamp

PAGE = 20
FEW = 3


def tables(count: int) -> tuple[str, ...]:
    return tuple(f"table-{number:04}" for number in range(count))


def orchard(slug: str, count: int) -> Provider:
    return Provider(
        slug=slug,
        name=slug,
        api_url="",
        oauth=OAuth2(
            authorize_url="", token_url="", identity=Identity(account_id=(), account_name=())
        ),
        resources=tuple(
            Resource(slug=slug, label=slug, original=Original(type=slug)) for slug in tables(count)
        ),
        buckets=(Bucket(name="all", requests=1000, window_s=1),),
        setup_url="",
        consent_note="",
    )


def connection(id_: str, provider: str, count: int, **changes: Any) -> Connection:
    source = Connection(
        id=id_,
        version=1,
        generation=1,
        org_id=id_,
        user_id="user",
        provider=provider,
        client_id="",
        account=Account(id=id_),
        status="active",
        resources=tables(count),
        token_version=1,
        sync_id=new_id(),
        created_at=timestamp(),
        updated_at=timestamp(),
    )
    return msgspec.structs.replace(source, **changes)


class Endless(Uncounted, Connector):
    """Stand in for the tokens, which nothing here needs."""

    def __init__(self, page_s: float) -> None:
        self._page_s = page_s

    @override
    def parts(self, resource: str) -> tuple[Part, ...]:
        return (Part(id=resource, name=resource),)

    @override
    async def schema(self, call: Call, resource: str, part: Part) -> PartSchema:
        return {}

    @override
    async def page(self, call: Call, resource: str, place: Place) -> Page:
        await asyncio.sleep(self._page_s)
        number = place.cursor["page"] + 1 if place.cursor else 0
        records = [Record(id=f"{number}-{n}", name=f"{n}", raw={"n": n}) for n in range(PAGE)]
        return Page(records=records, cursor={"page": number})

    @override
    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Lookup:
        raise RetryLater("Nothing is read again here.")

    @override
    def problem(self, response: Response) -> None:
        return None

    @override
    def limits(self, response: Response) -> tuple[Bucket, ...]:
        return ()

    def forget(self, connection: str) -> None:
        """Do nothing; ``Tokens`` has such a method."""
