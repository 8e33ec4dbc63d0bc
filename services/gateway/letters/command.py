"""``python -m services.gateway dead-letters``: lists, shows and replays dead letters beside services that run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.gateway.letters.desk import Desk, sending
from services.gateway.letters.listing import list_letters
from services.gateway.letters.replay import Replayed, replay_letter
from services.gateway.letters.show import show_letter
from services.gateway.letters.table import described, table
from services.gateway.letters.view import LetterSummary
from shared.command import MISUSED, REFUSED, run_command
from shared.db import Database
from shared.errors import HubError
from shared.installation import place
from shared.kafka import cluster_id
from shared.settings import Settings

PAGE = 200


def main(arguments: Sequence[str]) -> int:
    """The exit code: 1 when something was refused or is away, 2 for wrong settings or arguments."""
    asked = _parser().parse_args(arguments)
    return run_command(lambda settings: _run(asked, settings), needs="The database or Kafka")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.gateway dead-letters", description="Messages that could not be processed."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="the newest, without what they hold")
    listing.add_argument("--topic", help="only those of this topic")
    listing.add_argument("--service", help="only those of this service")
    listing.add_argument("--limit", type=_count, default=20, help="how many at most (20)")
    showing = commands.add_parser("show", help="one, with headers and value")
    showing.add_argument("id")
    replaying = commands.add_parser("replay", help="put the message back on its topic; done again it changes nothing")
    which = replaying.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?")
    which.add_argument("--all", action="store_true", help="all of --topic that were not replayed, the oldest first")
    replaying.add_argument("--topic", help="with --all: of which topic")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 10_000:
        raise argparse.ArgumentTypeError("has to be 1 to 10000")
    return count


async def _run(asked: argparse.Namespace, settings: Settings) -> int:
    async with _desk(settings) as desk:
        match asked.command:
            case "list":
                found, more = await _newest(asked.limit, desk, topic=asked.topic, service=asked.service)
                sys.stdout.write(table(found))
                sys.stderr.write("There are more; --limit shows them.\n" if more else "")
            case "show":
                sys.stdout.write(described(await show_letter(asked.id, desk=desk)))
            case _ if asked.all:
                return await _replay_all(asked.topic, desk)
            case _:
                _tell(await replay_letter(asked.id, desk=desk))
    return 0


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[Desk]:
    database = Database(place(settings, "gateway"))
    try:
        await database.migrate("services.gateway:migrations")
        yield Desk(kafka=settings.kafka, database=database, log_id=await cluster_id(settings.kafka))
    finally:
        await database.close()


async def _newest(
    limit: int | None, desk: Desk, *, topic: str | None, service: str | None = None
) -> tuple[list[LetterSummary], bool]:
    """And whether there are more; all of them for None."""
    found: list[LetterSummary] = []
    page = await list_letters(topic=topic, service=service, limit=min(limit or PAGE, PAGE), desk=desk)
    found += page.letters
    while page.rest and (limit is None or len(found) < limit):
        room = PAGE if limit is None else min(limit - len(found), PAGE)
        page = await list_letters(topic=topic, service=service, limit=room, marks=page.rest, desk=desk)
        found += page.letters
    return found, page.rest is not None


async def _replay_all(topic: str | None, desk: Desk) -> int:
    if topic is None:
        sys.stderr.write("--all needs --topic: say whose letters are to be replayed.\n")
        return MISUSED
    found, _ = await _newest(None, desk, topic=topic)
    due = [letter for letter in reversed(found) if letter.replayable and letter.replayed is None]
    failed = 0
    async with sending(desk) as producer:
        for letter in due:
            try:
                _tell(await replay_letter(letter.id, desk=desk, producer=producer))
            except HubError as refused:
                failed += 1
                sys.stderr.write(f"{letter.id}: {refused.detail}\n")
    sys.stderr.write(f"{len(due) - failed} replayed, {failed} failed, {len(found) - len(due)} left as they were.\n")
    return REFUSED if failed else 0


def _tell(done: Replayed) -> None:
    sys.stdout.write(f"{done.id}  is at {done.topic}, partition {done.partition}, offset {done.offset}\n")
