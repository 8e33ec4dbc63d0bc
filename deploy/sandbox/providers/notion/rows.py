"""Generate a workspace from a seed: data sources, their rows, standalone pages, people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from litestar import Response
from msgspec.structs import replace

from deploy.sandbox.providers.notion.objects import (
    data_source,
    page,
    uid,
    user,
    with_references,
)
from deploy.sandbox.providers.notion.responses import refused, unknown_call
from deploy.sandbox.providers.notion.values import Json, rich_text
from deploy.sandbox.world import Limit, Rows, SandboxAccount, SandboxRow
from shared.errors import BadRequest

EPOCH: Final = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp())
SPAN_S: Final = 700 * 86_400


def minute(at: str) -> str:
    """Round a time down to the minute, as Notion does."""
    return f"{at[:16]}:00.000Z"


class SimulatedNotion:
    """Supply the data of this sandbox.

    A row's ``body`` holds ``show`` (the object as Notion sends it) and ``hidden``.
    """

    slug = "notion"
    resources = ("pages", "data_sources", "users")
    cursor = "start_cursor"
    shared = "a workspace"
    # How much a workspace may, over all its connections, is not published. This figure is ours.
    limits = {  # noqa: RUF012  # the protocol asks for a plain dict
        "requests": Limit(180, 60.0),
        "workspace": Limit(1_800, 60.0),
    }
    default = SandboxAccount(
        id=uid(7, "workspace", "Orchard Studio"),
        name="Orchard Studio",
        seed=7,
        counts={"pages": 400, "data_sources": 12, "users": 15},
    )

    def account_id(self, name: str, seed: int) -> str:
        return uid(seed, "workspace", name)

    def generate(self, account: SandboxAccount) -> Iterator[tuple[str, SandboxRow]]:
        made: Rows = {resource: {} for resource in self.resources}
        for resource in ("data_sources", "pages", "users"):
            count = account.counts.get(resource, 0)
            for n in range(count):
                at = _time(EPOCH + n * SPAN_S // count)
                row = _new(account.seed, made, resource, n, at)
                row = replace(
                    row, modified=_time(EPOCH + n * SPAN_S // count + 60 * (n * 7919 % 90_000))
                )
                made[resource][row.id] = row
                yield resource, row

    def create(self, account: SandboxAccount, rows: Rows, resource: str, at: str) -> SandboxRow:
        return _new(account.seed, rows, resource, len(rows[resource]), minute(at))

    def update(self, row: SandboxRow, resource: str, at: str) -> SandboxRow:
        show, edits = dict(row.body["show"]), row.body.get("edits", 0) + 1
        words = f" (edit {edits})"
        if resource == "users":
            show["name"] = (show["name"] or "") + words
        elif resource == "data_sources":
            show["title"] = [*show["title"], *rich_text(words)]
        else:
            show["properties"] = _with_longer_title(show["properties"], words)
        return replace(row, modified=minute(at), body={**row.body, "show": show, "edits": edits})

    def refer(self, rows: Rows, resource: str, row: SandboxRow, count: int) -> SandboxRow:
        if resource != "pages":
            raise BadRequest(f"{resource} have no references: use pages")
        return with_references(rows, row, count)

    def refusal(self, method: str, path: str) -> Response[bytes]:
        return refused(unknown_call(method, path))

    def odd(self, row: SandboxRow, resource: str) -> SandboxRow:  # noqa: ARG002  # by rendering
        return replace(row, body={**row.body, "odd": True})

    def emptied(self, answer: Json, cursor: str, link: str | None) -> Json | None:
        if answer.get("object") != "list":
            return None
        page = {**answer, "results": [], "next_cursor": cursor, "has_more": True}
        if "property_item" in page:
            page["property_item"] = {**page["property_item"], "next_url": link}
        # Only the last page that there is says that there would be more.
        return {name: value for name, value in page.items() if name != "request_status"}

    def archive(
        self,
        rows: Rows,
        resource: str,
        row: SandboxRow,
        at: str,  # noqa: ARG002  # Notion keeps last_edited_time
    ) -> list[tuple[str, SandboxRow]]:
        """Archive the row and, with a data source, every page in it."""
        gone = [(resource, replace(row, archived=True))]
        if resource == "data_sources":
            inside = (
                page
                for page in rows["pages"].values()
                if source_of(page) == row.id and not page.archived
            )
            gone += [("pages", replace(page, archived=True)) for page in inside]
        return gone


def _with_longer_title(properties: Json, words: str) -> Json:
    (name,) = [name for name, one in properties.items() if one["type"] == "title"]
    title = properties[name]
    return {**properties, name: {**title, "title": [*title["title"], *rich_text(words)]}}


def source_of(page: SandboxRow) -> str | None:
    """Return the id of the data source that a page is a row of, None for a standalone page."""
    found: str | None = page.body["show"]["parent"].get("data_source_id")
    return found


def owner(account: SandboxAccount) -> Json:
    """Return the person who consents: the first of the workspace's people."""
    return {"object": "user", "id": uid(account.seed, "users", 0), **user(account.seed, 0)}


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds // 60 * 60, UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")


def _new(seed: int, rows: Rows, resource: str, n: int, at: str) -> SandboxRow:
    id_ = uid(seed, resource, n)
    if resource == "users":
        body = {"show": user(seed, n)}
    elif resource == "data_sources":
        body = {"show": data_source(seed, n)}
    else:
        body = page(
            seed, [row for row in rows["data_sources"].values() if not row.archived], n, id_
        )
    return SandboxRow(id=id_, created=at, modified=at, body=body)
