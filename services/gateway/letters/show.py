"""One dead letter with everything in it."""

from __future__ import annotations

from services.gateway.letters.desk import Desk, looking_into
from services.gateway.letters.letter import Letter, opened
from services.gateway.letters.place import absent, letter_place
from services.gateway.letters.view import LetterView, view
from services.gateway.store import replays


async def show_letter(id_: str, *, desk: Desk) -> LetterView:
    """Raises ``NotFound``, also for a letter of another organisation, and ``Unavailable``."""
    letter = await find_letter(id_, desk=desk)
    async with desk.database.read() as db:
        replay = await replays.get(db, desk.log_id, id_)
    return view(letter, replay.sent if replay else None)


async def find_letter(id_: str, *, desk: Desk) -> Letter:
    """Raises as ``show_letter`` does."""
    place, offset = letter_place(id_)
    async with looking_into(desk, [place.topic]) as reader:
        logged = await reader.one(place, offset)
    if logged is None:
        raise absent()
    letter = opened(logged)
    if desk.org not in {None, letter.org_id}:
        raise absent()
    return letter
