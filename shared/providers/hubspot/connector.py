"""Walks HubSpot's objects by their list cursors (no 10,000 wall there), with every property they have."""

from __future__ import annotations

import re
from typing import Any, Final

from shared.connector import (
    Bucket,
    Call,
    Connector,
    Cursor,
    Interruption,
    Page,
    Reject,
    Request,
    Response,
    RetryLater,
)
from shared.providers.hubspot.mapping import TYPE_IDS, read_rows
from shared.providers.hubspot.problems import limits, problem
from shared.providers.hubspot.walk import Walk

VERSION: Final = "2026-03"
PAGE: Final = 100
LISTS: Final = ("ten_secondly",)
SEARCHES: Final = ("search",)
UI_DOMAIN: Final = re.compile(r"[a-z0-9-]+\.hubspot\.com")


class HubSpotConnector:
    async def page(self, call: Call, resource: str, cursor: Cursor | None) -> Page:
        walk = await _start(call, resource) if cursor is None else Walk.from_cursor(cursor)
        first, *more = walk.properties
        rows, after = _listed(await call(_list_request(resource, first, walk.after)))
        for names in more:
            others, _ = _listed(await call(_list_request(resource, names, walk.after)))
            rows = await _merged(call, resource, walk, rows, others)
        records, rejected = read_rows(rows, resource, walk.link)
        return Page(records=records, rejected=rejected, cursor=walk.onward(after))

    async def expected(self, call: Call, resource: str) -> int | None:
        path = f"/crm/objects/{VERSION}/{resource}/search"
        body = (
            await call(Request(method="POST", path=path, json={"limit": 1}, buckets=SEARCHES))
        ).body
        total = body.get("total") if isinstance(body, dict) else None
        return total if type(total) is int else None

    async def read(self, call: Call, resource: str, ids: tuple[str, ...]) -> Page:
        walk = await _start(call, resource)
        rows = await _batch(call, resource, walk, ids)
        records, rejected = read_rows(rows, resource, walk.link)
        return Page(records=records, rejected=rejected, cursor=None)

    def problem(self, response: Response) -> Interruption | None:
        return problem(response)

    def limits(self, response: Response) -> tuple[Bucket, ...]:
        return limits(response)


CONNECTOR: Final[Connector] = HubSpotConnector()


async def _start(call: Call, resource: str) -> Walk:
    """Without a list of properties HubSpot answers with three to five of them: ask for all there are."""
    body = (
        await call(
            Request(method="GET", path=f"/crm/properties/{VERSION}/{resource}", buckets=LISTS)
        )
    ).body
    found = _objects(body, "results")
    names = [
        row["name"] for row in found if isinstance(row, dict) and isinstance(row.get("name"), str)
    ]
    return Walk.start(names, await _link(call, resource))


async def _link(call: Call, resource: str) -> str | None:
    """The account's id and domain make links. Records do without: only a limit or a 401 counts."""
    try:
        body = (
            await call(
                Request(method="GET", path=f"/account-info/{VERSION}/details", buckets=LISTS)
            )
        ).body
    except Reject:
        return None
    except RetryLater as late:
        if late.limit:
            raise
        return None
    portal = body.get("portalId") if isinstance(body, dict) else None
    domain = body.get("uiDomain") if isinstance(body, dict) else None
    if type(portal) is not int or not isinstance(domain, str) or not UI_DOMAIN.fullmatch(domain):
        return None
    return f"https://{domain}/contacts/{portal}/record/{TYPE_IDS[resource]}/"


def _list_request(resource: str, names: str, after: str | None) -> Request:
    params = [("limit", str(PAGE))]
    if after is not None:
        params.append(("after", after))
    if names:
        params.append(("properties", names))
    return Request(
        method="GET", path=f"/crm/objects/{VERSION}/{resource}", params=tuple(params), buckets=LISTS
    )


def _listed(response: Response) -> tuple[list[Any], str | None]:
    """The rows of a page and where the next one begins."""
    rows = _objects(response.body, "results")
    paging = response.body.get("paging") or {}
    following = paging.get("next") if isinstance(paging, dict) else paging
    if following is None:
        return rows, None
    after = following.get("after") if isinstance(following, dict) else None
    if not isinstance(after, str) or not after:
        raise Reject(
            "HubSpot's page names no place where the next one begins.", code="malformed_page"
        )
    return rows, after


def _objects(body: Any, field: str) -> list[Any]:
    rows = body.get(field) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise Reject("HubSpot's answer is not a page of objects.", code="malformed_page")
    return rows


async def _merged(
    call: Call, resource: str, walk: Walk, rows: list[Any], others: list[Any]
) -> list[Any]:
    """``rows`` with the properties of ``others`` added, by id.

    A row that is not among them was archived, or pushed off the page, between the two calls: it is read by itself.
    """
    extra = {row["id"]: row["properties"] for row in others if _usable(row)}
    lost = tuple(row["id"] for row in rows if _usable(row) and row["id"] not in extra)
    again = {row["id"]: row for row in await _batch(call, resource, walk, lost) if _usable(row)}
    for row in rows:
        if _usable(row) and row["id"] in extra:
            row["properties"].update(extra[row["id"]])
    kept = (again.get(row["id"]) if _usable(row) and row["id"] in lost else row for row in rows)
    return [row for row in kept if row is not None]


def _usable(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("id"), str)
        and isinstance(row.get("properties"), dict)
    )


async def _batch(call: Call, resource: str, walk: Walk, ids: tuple[str, ...]) -> list[Any]:
    """Objects by id, at most a hundred a call; those that are gone are named beside the results, in a 207."""
    rows: list[Any] = []
    for n in range(0, len(ids), PAGE):
        body = {"inputs": [{"id": id_} for id_ in ids[n : n + PAGE]], "properties": walk.names}
        path = f"/crm/objects/{VERSION}/{resource}/batch/read"
        rows += _objects(
            (await call(Request(method="POST", path=path, json=body, buckets=LISTS))).body,
            "results",
        )
    return rows
