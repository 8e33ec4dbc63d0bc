"""``python -m services.gateway keys``: create, list and revoke keys beside a running gateway."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from services.gateway.security.keys import KeyView, create_key, key_view, list_keys, revoke_key
from services.gateway.security.queries import SCOPES
from shared.db import Database
from shared.installation import database_location
from shared.process import run_command
from shared.settings import Settings


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Only a new key is printed on standard output; everything else goes to standard error.
    """
    asked = _parser().parse_args(arguments)
    return run_command(lambda settings: _run(asked, settings), needs="The database")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.gateway keys", description="The gateway's API keys."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="create a key and show it once")
    create.add_argument("--org", required=True, help="the organisation whose data it opens")
    create.add_argument(
        "--scope", choices=SCOPES, default="read", help="each includes those before it"
    )
    create.add_argument("--name", default="", help="what it is for")
    create.add_argument(
        "--expires-in-days",
        type=int,
        metavar="DAYS",
        help="days until it expires; by default it never does",
    )
    listing = commands.add_parser("list", help="list the keys, without their secrets")
    listing.add_argument("--org", help="only those of this organisation")
    revoke = commands.add_parser("revoke", help="revoke a key, and end its sessions, at once")
    revoke.add_argument("prefix", help="the part between the first and the second underscore")
    return parser


async def _run(asked: argparse.Namespace, settings: Settings) -> int:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(database_location(settings, "gateway"))
    try:
        await database.migrate("services.gateway:migrations")
        match asked.command:
            case "create":
                await _create(asked, database)
            case "list":
                _show(await list_keys(org=asked.org, database=database))
            case _:
                revoked = key_view(
                    await revoke_key(_prefix(asked.prefix), org=None, database=database)
                )
                sys.stderr.write(f"{revoked.prefix} of {revoked.org_id} is revoked.\n")
    finally:
        await database.close()
    return 0


async def _create(asked: argparse.Namespace, database: Database) -> None:
    made = await create_key(
        org=asked.org,
        scope=asked.scope,
        name=asked.name,
        expires_in_days=asked.expires_in_days,
        database=database,
    )
    until = key_view(made.key).expires_at or "it is revoked"
    sys.stderr.write(
        f"A {made.key.scope} key for {made.key.org_id}, valid until {until}. It is not shown "
        "again:\n"
    )
    sys.stdout.write(f"{made.written.reveal()}\n")


def _show(found: Sequence[KeyView]) -> None:
    rows = [
        ("prefix", "organisation", "scope", "status", "created", "expires", "last used", "name")
    ]
    for one in found:
        times = (one.created_at, one.expires_at or "-", one.last_used_at or "-")
        rows.append((one.prefix, one.org_id, one.scope, one.status, *times, one.name))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(map(str.ljust, row, widths))
        sys.stdout.write(f"{line.rstrip()}\n")


def _prefix(given: str) -> str:
    """Return the prefix, also from a whole key that was pasted."""
    parts = given.split("_")
    return parts[1] if len(parts) > 1 and parts[0] == "trb" else given
