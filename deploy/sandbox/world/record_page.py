"""Render the sandbox's own page of a record, where a simulated record's link leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import msgspec
from litestar import Response

from deploy.sandbox.world.pages import headers, page

LONGEST_HEADING: Final = 300
LONGEST_VALUE: Final = 20_000


class ShownRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Describe a record as people see it; ``values`` maps property names to text."""

    type: str
    id: str
    name: str
    values: Mapping[str, str]


def record_page(provider: str, records: Sequence[ShownRecord]) -> Response[bytes]:
    """Return the page of the records at one address, or a 404 page when there are none.

    One address may show several records: a database's page shows all its data sources.
    """
    if not records:
        return _not_found(provider)
    body = f'<span class="mark">Simulated</span>{"".join(map(_section, records))}' + _note(provider)
    title = f"{_heading(records[0].name)} ({provider}, simulated)"
    return _answer(page(title, body, wide=True), 200)


def _section(record: ShownRecord) -> str:
    values = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value[:LONGEST_VALUE])}</dd>"
        for name, value in record.values.items()
        if value
    )
    return (
        f"<h1>{escape(_heading(record.name))}</h1>"
        f"<p>{escape(record.type)} <code>{escape(record.id)}</code></p>"
        f'<dl class="values">{values}</dl>'
    )


def _note(provider: str) -> str:
    return f"<p>This page stands in for {escape(provider)}: the record exists only here.</p>"


def _not_found(provider: str) -> Response[bytes]:
    body = (
        '<span class="mark">Simulated</span><h1>No such record</h1>'
        f"<p>The simulated {escape(provider)} has no record at this address: "
        "it was deleted, or it never existed.</p>"
    )
    return _answer(page(f"{provider} (simulated)", body), 404)


def _answer(content: bytes, status: int) -> Response[bytes]:
    return Response(content, status_code=status, media_type="text/html", headers=headers())


def _heading(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= LONGEST_HEADING else f"{line[: LONGEST_HEADING - 1]}…"
