"""Run one more process on a test's tables: ``python -m tests.contract.child WHAT …``.

The environment tells it where they are.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select, update

from shared.contracts.envelope import Message
from shared.db import Database, Schema
from shared.db.leader import leader_lock
from shared.outbox import Relay, append
from shared.settings import SecretStr
from tests.contract.tables import counters, outbox
from tests.support.waiting import turns, until

PLACE = "CONTRACT_PLACE"


def described(place: Path | Schema) -> str:
    return json.dumps(
        [place.url.reveal(), place.name] if isinstance(place, Schema) else [str(place)]
    )


def _place() -> Path | Schema:
    match json.loads(os.environ[PLACE]):
        case [url, name]:
            return Schema(url=SecretStr(url), name=name)
        case [path]:
            return Path(path)
        case other:
            raise ValueError(other)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def add_ones(database: Database, name: str, times: int) -> None:
    """Read, then write: whoever comes in between loses an update."""
    for _ in range(times):
        async with database.write(lock=name) as db:
            value = (
                await db.execute(select(counters.c.value).where(counters.c.name == name))
            ).scalar_one()
            await db.execute(
                update(counters).where(counters.c.name == name).values(value=value + 1)
            )


async def put(database: Database, key: str, start: int, count: int, per: int = 1) -> None:
    """Put numbered messages of one key, ``per`` to a transaction, in turn."""
    for first in range(start, start + count, per):
        numbers = range(first, min(first + per, start + count))
        async with database.write(lock=key) as db:
            await append(
                db,
                outbox,
                [
                    Message(topic="t", key=key.encode(), value=b"%d" % number, headers=())
                    for number in numbers
                ],
            )


class FileLog:
    """Append to a file of lines that several processes use as their Kafka."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")

    async def send_all(self, messages: Sequence[Message]) -> dict[int, int]:
        for message in messages:
            os.write(
                self._file.fileno(),
                f"{message.key.decode()} {(message.value or b'').decode()}\n".encode(),
            )
        await turns()
        return {}

    def close(self) -> None:
        self._file.close()


async def _relay(database: Database, path: Path) -> None:
    log = FileLog(path)
    relay = Relay(database, outbox, log)  # type: ignore[arg-type]  # Kafka in a file
    relay.start()
    say("started")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await relay.stop()
    log.close()


async def _lead(idle_s: float) -> None:
    """Print each change of what it believes, and ask again at once: it never gives up by itself."""
    mine = leader_lock(_place(), lambda: None, idle_s=idle_s)
    believed: bool | None = None

    async def ask() -> None:
        nonlocal believed
        try:
            now = await mine.acquire()
        except Exception:  # noqa: BLE001  # the session was ended while we were stopped
            now = False
        if now != believed:
            say("leads" if now else "stands by")
        believed = now

    await until(ask, within=math.inf, every=0.02)


async def _run(what: str, arguments: list[str]) -> None:
    if what == "lead":
        await _lead(float(arguments[0]))
        return
    database = Database(_place())
    match what:
        case "add":
            await add_ones(database, arguments[0], int(arguments[1]))
        case "put":
            await put(database, arguments[0], int(arguments[1]), int(arguments[2]))
        case "relay":
            await _relay(database, Path(arguments[0]))
        case "migrate":
            await database.migrate(arguments[0])
        case _:
            raise ValueError(what)
    await database.close()


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], sys.argv[2:]))
