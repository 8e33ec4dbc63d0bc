"""List records in table order, with offsets that carry a walk's whole state and expire."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Final

from deploy.sandbox.providers.airtable.data import ALPHABET
from deploy.sandbox.providers.airtable.responses import ErrorResponse, invalid
from deploy.sandbox.world import SandboxRow, World

ITERATOR_LIFETIME_S: Final = 300
SIX_TWO: Final = len(ALPHABET)
STAMP: Final = 8
MARK: Final = 6
"""Characters of an iterator's id: the time in milliseconds, and a mark of its query."""


class TableContents:
    """Track which records each table holds; the world's rows only ever grow."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tables: dict[str, dict[str, list[str]]] = {}
        self._seen: dict[str, int] = {}

    def live(self, account: str, table: str, *, since: str | None = None) -> Iterator[SandboxRow]:
        """Return the live records of ``base/table``, oldest first, starting at the id ``since``.

        That record itself may have been deleted in the meantime.
        """
        rows, ids = self._world.rows(account, "records"), self._ids(account, table)
        start = ids.index(since) if since is not None else 0
        return (row for id_ in islice(ids, start, None) if not (row := rows[id_]).archived)

    def _ids(self, account: str, table: str) -> list[str]:
        rows = self._world.rows(account, "records")
        tables, seen = self._tables.setdefault(account, {}), self._seen.get(account, 0)
        for id_ in islice(rows, seen, None) if len(rows) > seen else ():
            tables.setdefault(id_.rpartition("/")[0], []).append(id_)
        self._seen[account] = len(rows)
        return tables.get(table, [])


def offset_at(world: World, query: str, id_: str) -> str:
    """Return an offset ``itr…/{id}`` that continues the walk of ``query`` at ``id_``."""
    stamp = _digits(int(world.clock.now() * 1000), STAMP)
    return f"itr{stamp}{_mark(stamp, query, id_)}/{id_}"


def place_of(world: World, query: str, offset: str) -> str:
    """Return the id that an offset points to.

    Raises:
        ErrorResponse: the offset belongs to another query, or it has expired.
    """
    iterator, _, id_ = offset.partition("/")
    stamp, mark = iterator[3 : 3 + STAMP], iterator[3 + STAMP :]
    if not iterator.startswith("itr") or mark != _mark(stamp, query, id_):
        raise invalid(f"The value of offset {offset[:60]} is invalid", "INVALID_OFFSET_VALUE")
    made = 0
    for char in stamp:
        made = made * SIX_TWO + ALPHABET.index(char)
    if world.clock.now() - made / 1000 > ITERATOR_LIFETIME_S:
        raise iterator_gone()
    return id_


def iterator_gone() -> ErrorResponse:
    return invalid("", "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")


def _mark(stamp: str, query: str, id_: str) -> str:
    digest = blake2b(f"{stamp}\n{query}\n{id_}".encode(), digest_size=8).digest()
    return _digits(int.from_bytes(digest, "big"), MARK)


def _digits(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, SIX_TWO)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
