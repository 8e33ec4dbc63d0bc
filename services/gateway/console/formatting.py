"""Format numbers, times and names for people."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

MINUTE, HOUR, DAY = 60, 3600, 86_400


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A time for a ``<time>`` element.

    ``iso`` is for machines, ``text`` is short, ``full`` is exact to the second, in UTC.
    """

    iso: str
    text: str
    full: str


def number(value: int) -> str:
    return f"{value:,}"


def plural(value: int, one: str) -> str:
    return f"{number(value)} {one if value == 1 else one + 's'}"


def initials(name: str) -> str:
    """Return a letter mark: the first letter and the next capital, else the first two letters."""
    capitals = [letter for letter in name[1:] if letter.isupper()]
    return (name[:1] + (capitals[0] if capitals else name[1:2])) or "?"


def ago(at: float, now: float) -> Moment:
    """Return how long ago ``at`` was, as a date after more than a day.

    Both times are epoch seconds.
    """
    passed = max(0.0, now - at)
    if passed < MINUTE:
        text = "just now"
    elif passed < HOUR:
        text = f"{int(passed // MINUTE)} min ago"
    elif passed < DAY:
        text = f"{int(passed // HOUR)} h ago"
    else:
        text = f"{datetime.fromtimestamp(at, UTC):%-d %b %Y}"
    return _moment(datetime.fromtimestamp(at, UTC), text)


def clock(stamp: str) -> Moment | None:
    """Return the time of day of an RFC 3339 timestamp; None if it is not one."""
    at = _parse(stamp)
    return None if at is None else _moment(at, f"{at:%H:%M:%S} UTC")


def day(stamp: str | None) -> Moment | None:
    """Return the date of an RFC 3339 timestamp; None if it is not one."""
    at = None if stamp is None else _parse(stamp)
    return None if at is None else _moment(at, f"{at.day} {at:%b %Y}")


def epoch(stamp: str) -> float | None:
    at = _parse(stamp)
    return None if at is None else at.timestamp()


def _parse(stamp: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(stamp.upper())  # RFC 3339 permits a small t and z
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # the year 0 or 10000, in UTC
        return None


def _moment(at: datetime, text: str) -> Moment:
    iso = at.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"
    return Moment(iso=iso, text=text, full=f"{at.day} {at:%b %Y, %H:%M:%S} UTC")
