"""``python -m services.gateway dead-letters``: list, show and replay dead letters.

It runs beside the services.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from services.gateway.dead_letters.context import DeadLetterContext, open_producer
from services.gateway.dead_letters.dead_letter import (
    SERVICES,
    SOURCES,
    DeadLetterSummary,
    DeadLetterView,
)
from services.gateway.dead_letters.listing import list_dead_letters, show_dead_letter
from services.gateway.dead_letters.replay import Replayed, replay_dead_letter
from shared.db import Database
from shared.errors import TributaryError
from shared.exit_codes import MISUSED, REFUSED
from shared.installation import database_location
from shared.kafka import check_topics, log_ids
from shared.process import run_command
from shared.settings import Settings

PAGE: Final = 200
LONGEST: Final = 60
COLUMNS: Final = ("id", "stored", "service", "tries", "bytes", "replayed", "key", "error")


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    asked = _parser().parse_args(arguments)
    return run_command(lambda settings: _run(asked, settings), needs="The database or Kafka")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.gateway dead-letters",
        description="Messages that could not be processed.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="list the newest, without their contents")
    listing.add_argument("--topic", help="only those of this topic")
    listing.add_argument("--service", choices=SERVICES, help="only those of this service")
    listing.add_argument(
        "--limit", type=_count, default=20, help="list at most this many (default: 20)"
    )
    showing = commands.add_parser("show", help="show one, with its headers and value")
    showing.add_argument("id")
    replaying = commands.add_parser(
        "replay", help="replay a message on its topic; repeating it changes nothing"
    )
    which = replaying.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?")
    which.add_argument(
        "--all",
        action="store_true",
        help="all of --topic that have not been replayed, oldest first",
    )
    replaying.add_argument("--topic", help="with --all: the topic to replay")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 10_000:
        raise argparse.ArgumentTypeError("must be 1 to 10000")
    return count


async def _run(asked: argparse.Namespace, settings: Settings) -> int:
    async with _context(settings) as context:
        match asked.command:
            case "list":
                found, more = await _newest(
                    asked.limit, context, topic=asked.topic, service=asked.service
                )
                sys.stdout.write(table(found))
                sys.stderr.write("There are more; use --limit to show them.\n" if more else "")
            case "show":
                sys.stdout.write(described(await show_dead_letter(asked.id, context=context)))
            case _ if asked.all:
                return await _replay_all(asked.topic, context)
            case _:
                _tell(await replay_dead_letter(asked.id, context=context))
    return 0


@asynccontextmanager
async def _context(settings: Settings) -> AsyncIterator[DeadLetterContext]:
    await check_topics(settings.kafka)
    database = Database(database_location(settings, "gateway"))
    try:
        await database.migrate("services.gateway:migrations")
        logs = await log_ids(settings.kafka, list(SOURCES))
        yield DeadLetterContext(kafka=settings.kafka, database=database, log_ids=logs)
    finally:
        await database.close()


async def _newest(
    limit: int | None, context: DeadLetterContext, *, topic: str | None, service: str | None = None
) -> tuple[list[DeadLetterSummary], bool]:
    """Return dead letters, and True if there are more. A limit of None returns all of them."""
    found: list[DeadLetterSummary] = []
    page = await list_dead_letters(
        topic=topic, service=service, limit=min(limit or PAGE, PAGE), context=context
    )
    found += page.letters
    while page.rest and (limit is None or len(found) < limit):
        room = PAGE if limit is None else min(limit - len(found), PAGE)
        page = await list_dead_letters(
            topic=topic, service=service, limit=room, marks=page.rest, context=context
        )
        found += page.letters
    return found, page.rest is not None


async def _replay_all(topic: str | None, context: DeadLetterContext) -> int:
    if topic is None:
        sys.stderr.write("--all needs --topic, the topic whose dead letters to replay.\n")
        return MISUSED
    # Listed in full before the first is sent: one that fails again is appended to what we read.
    found, _ = await _newest(None, context, topic=topic)
    due = [letter for letter in reversed(found) if letter.replayable and letter.replayed_at is None]
    failed = 0
    async with open_producer(context) as producer:
        for letter in due:
            try:
                _tell(await replay_dead_letter(letter.id, context=context, producer=producer))
            except TributaryError as refused:
                failed += 1
                sys.stderr.write(f"{letter.id}: {refused.detail}\n")
    sys.stderr.write(
        f"{len(due) - failed} replayed, {failed} failed, {len(found) - len(due)} skipped.\n"
    )
    return REFUSED if failed else 0


def _tell(done: Replayed) -> None:
    sys.stdout.write(
        f"{done.id}  replayed to {done.topic}, partition {done.partition}, offset {done.offset}\n"
    )


def table(letters: Sequence[DeadLetterSummary]) -> str:
    """Return a table of dead letters, without values: they hold customers' data."""
    if not letters:
        return "There are no dead letters.\n"
    rows = [COLUMNS, *(_row(letter) for letter in letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = "  ".join(map(str.ljust, row, widths))
        lines.append(f"{line.rstrip()}\n")
    return "".join(lines)


def described(letter: DeadLetterView) -> str:
    if letter.pointer is None:
        origin = f"{letter.topic}, partition {letter.partition}, offset {letter.offset}"
    else:
        origin = (
            f"a record of a provider's page, at {letter.pointer}: it cannot be replayed; sync the "
            "connection again"
        )
    facts = {
        "id": letter.id,
        "from": origin,
        "stored": letter.stored_at,
        "service": letter.service or "-",
        "error": letter.error,
        "tries": str(letter.attempts),
        "organisation": letter.org_id or "-",
        "key": letter.key,
        "replayed": letter.replayed_at or "no",
        **{f"header {one.name}": _encoded(one.value, one.encoding) for one in letter.headers},
        "bytes": str(letter.bytes),
    }
    width = max(len(name) for name in facts)
    lines = [f"{name.ljust(width)}  {_printable(text)}" for name, text in facts.items()]
    value = "no value: a deletion"
    if letter.value is not None:
        value = _encoded(letter.value, letter.encoding)
    return "\n".join([*lines, "", _printable(value, keep="\n\t"), ""])


def _row(letter: DeadLetterSummary) -> tuple[str, ...]:
    replayed = letter.replayed_at or ("no" if letter.replayable else "not replayable")
    cells = (
        letter.id,
        letter.stored_at,
        letter.service or "-",
        str(letter.attempts),
        str(letter.bytes),
        replayed,
    )
    return (*cells, _short(letter.key), _short(letter.error))


def _short(text: str) -> str:
    shown = _printable(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _printable(text: str, *, keep: str = "") -> str:
    """Return the text without control characters.

    Otherwise, whoever wrote the message could send escape sequences to the operator's terminal.
    """
    unsafe = {one for one in text if not one.isprintable() and one not in keep}
    return text.translate({ord(one): "\N{REPLACEMENT CHARACTER}" for one in unsafe})


def _encoded(text: str, encoding: str | None) -> str:
    return f"(base64) {text}" if encoding == "base64" else text
