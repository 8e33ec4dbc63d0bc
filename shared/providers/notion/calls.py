"""The calls a walk makes, one page each."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from shared.connector import Call, Reject, Request, Response
from shared.providers.notion import VERSION
from shared.providers.notion.problems import FORBIDDEN, malformed

PAGE_SIZE = 100
CONTENT = "read content capability"
PEOPLE = "user information capability"
"""Notion has no scopes: a connection lacks what its developer did not tick under "Capabilities"."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One page as Notion sends it; ``at`` is where the next one begins, None on the last.

    ``capped``: the query has more results than Notion will ever page through.
    """

    results: list[Any]
    at: str | None
    capped: bool


async def search(call: Call, kind: str, at: str | None) -> Listing:
    # Oldest edit first: what is edited during the walk moves to the end and is met again, rather than missed.
    body = {
        "filter": {"property": "object", "value": kind},
        "sort": {"timestamp": "last_edited_time", "direction": "ascending"},
    }
    return _listing(await _ask(call, _post("/v1/search", body, at), CONTENT))


async def query(call: Call, source: str, since: str | None, at: str | None) -> Listing:
    """Rows of a data source by creation time, those from before ``since`` left out."""
    body: dict[str, Any] = {"sorts": [{"timestamp": "created_time", "direction": "ascending"}]}
    if since is not None:
        body["filter"] = {"timestamp": "created_time", "created_time": {"on_or_after": since}}
    return _listing(await _ask(call, _post(f"/v1/data_sources/{quote(source, safe='')}/query", body, at), CONTENT))


async def users(call: Call, at: str | None) -> Listing:
    place = (("start_cursor", at),) if at is not None else ()
    return _listing(await _ask(call, _get("/v1/users", ("page_size", str(PAGE_SIZE)), *place), PEOPLE))


async def one(call: Call, resource: str, id_: str) -> Any:
    """The JSON of one object."""
    answer = await _ask(call, _get(f"/v1/{resource}/{quote(id_, safe='')}"), PEOPLE if resource == "users" else CONTENT)
    if not isinstance(answer.body, dict):
        raise malformed("it is not a JSON object")
    return {name: value for name, value in answer.body.items() if name != "request_id"}


def _get(path: str, *params: tuple[str, str]) -> Request:
    return Request(method="GET", path=path, params=params, headers={"Notion-Version": VERSION}, buckets=("requests",))


def _post(path: str, body: dict[str, Any], at: str | None) -> Request:
    body = {**body, "page_size": PAGE_SIZE} | ({"start_cursor": at} if at is not None else {})
    return Request(method="POST", path=path, json=body, headers={"Notion-Version": VERSION}, buckets=("requests",))


async def _ask(call: Call, request: Request, capability: str) -> Response:
    """Call Notion; where it refuses, say which capability that takes, for its own answer does not."""
    try:
        return await call(request)
    except Reject as reject:
        if reject.code != FORBIDDEN:
            raise
        reason = f"The connection to Notion lacks the {capability}: tick it in the settings at Notion."
        raise Reject(reason, code=reject.code, scope=capability) from reject


def _listing(answer: Response) -> Listing:
    body = answer.body
    if not isinstance(body, dict):
        raise malformed("it is not a JSON object")
    results, more, at, status = (body.get(name) for name in ("results", "has_more", "next_cursor", "request_status"))
    if not isinstance(results, list):
        raise malformed("results is not a list")
    if not isinstance(more, bool):
        raise malformed("has_more is neither true nor false")
    if more and not (isinstance(at, str) and at):
        raise malformed("there is more, but no next_cursor")
    capped = isinstance(status, dict) and status.get("type") == "incomplete"
    return Listing(results=results, at=at if more else None, capped=capped)
