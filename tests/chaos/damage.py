"""Lose, age and damage each store of an installation; see what is said and what comes back."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.days import STORES, Days, two_days
from tests.support.product import Product

PLACES = 50
"""Places at which one byte is flipped, each in an undamaged copy."""
Damage = Callable[[Days, str], None]


@dataclass(frozen=True)
class Found:
    """Tell of one store and one kind of damage, in words for the table."""

    store: str
    kind: str
    said: str
    then: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def files(days: Days, store: str) -> list[Path]:
    """Return the files that hold the store's content."""
    found: list[Path] = []
    for name in STORES[store]:
        path = days.live / name
        inside = path.rglob("*.log") if path.is_dir() else [path]
        found += [one for one in inside if one.is_file() and one.stat().st_size]
    return [one for one in found if not one.name.endswith("-shm")]


def lost(days: Days, store: str) -> None:
    days.swap(store, by=None)


def older(days: Days, store: str) -> None:
    days.swap(store, by=days.copy("monday"))


def truncated(days: Days, store: str) -> None:
    for path in files(days, store):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)


KINDS: dict[str, Damage] = {
    "lost": lost,
    "truncated to half": truncated,
    "older copy": older,
}


def flip(days: Days, store: str, chance: random.Random) -> None:
    """Flip one bit somewhere in the store's files."""
    choice = files(days, store)
    (path,) = chance.choices(choice, [one.stat().st_size for one in choice])
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def measure(*, places: int = PLACES) -> Iterator[Found]:
    """Yield what was found, store by store."""
    with (
        tempfile.TemporaryDirectory(prefix="damage-") as folder,
        two_days(Path(folder)) as days,
    ):
        for store in STORES:
            for kind, damage in KINDS.items():
                days.restore()
                damage(days, store)
                yield _outcome(days, store, kind)
            yield _flips(days, store, places)


def _outcome(days: Days, store: str, kind: str) -> Found:
    one = days.one
    one.log.unlink(missing_ok=True)
    began = time.monotonic()
    try:
        one.start()
    except AssertionError:
        one.kill()
        said = one.log.read_text().strip().splitlines()[-1].replace(f"{days.live}/", "")
        return Found(store, kind, said, "refused: nothing was changed", time.monotonic() - began)
    ready = time.monotonic() - began
    try:
        again = len(days.reconnect())
        wrong = days.compare()
        then = "; ".join(wrong) or "whole"
        if again and not wrong:
            then = f"whole, {again} of 2 connections had to be connected again"
        return Found(store, kind, _said(one), then, ready)
    except (AssertionError, ValueError) as error:
        return Found(store, kind, _said(one), f"not whole ({type(error).__name__})", ready)
    finally:
        one.stop()


def _flips(days: Days, store: str, places: int) -> Found:
    chance, outcomes, said, longest = random.Random(store), Counter[str](), set[str](), 0.0
    for _ in range(places):
        days.restore()
        flip(days, store, chance)
        found = _outcome(days, store, "")
        outcomes[found.then] += 1
        longest = max(longest, found.seconds)
        said |= set() if found.then.startswith("refused") else {found.said}
    then = "; ".join(f"{count} times {outcome}" for outcome, count in outcomes.most_common())
    names = sorted({name for line in said for name in line.split(", ") if name})
    kind = f"one bit flipped at {places} places"
    return Found(store, kind, ", ".join(names), then, longest)


def _said(one: Product) -> str:
    """Return the names of the errors and warnings in the log."""
    names = []
    for line in one.log.read_text().splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry["level"] in {"error", "warning"} and entry["event"] != "clock_can_be_moved":
                names.append(str(entry["event"]))
    return ", ".join(sorted(set(names)))
