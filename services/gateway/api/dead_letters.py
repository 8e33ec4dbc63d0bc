"""Messages that could not be processed, for operators."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from services.gateway.api.problems import problems
from services.gateway.hub import Hub, TheHub
from services.gateway.letters import (
    Desk,
    LetterSummary,
    LetterView,
    Replayed,
    list_letters,
    packed,
    replay_letter,
    show_letter,
    unpacked,
)
from shared.crypto import BadToken

TAGS = ["Dead letters"]


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_page_token`` is null on the last page; with filters, a page before it may hold less than was asked for."""

    dead_letters: list[LetterSummary]
    next_page_token: str | None


@get("/dead-letters", tags=TAGS, summary="What could not be processed, newest first", responses=problems(503))
async def get_dead_letters(
    hub: TheHub,
    *,
    topic: Annotated[str | None, QueryParameter(description="Where it came from.")] = None,
    service: Annotated[str | None, QueryParameter(description="Which could not process it.")] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: Annotated[str | None, QueryParameter(description="next_page_token of the page before.")] = None,
) -> LetterPage:
    """Without what they hold. Letters that come while you page are not shown; a page token belongs to its filters."""
    context = msgspec.json.encode(("dead-letters", hub.org, topic, service)).decode()
    marks = None
    if page_token is not None:
        try:
            marks = unpacked(hub.page_tokens.verify(page_token, context))
        except (msgspec.DecodeError, IndexError):
            raise BadToken("This page token is of an older version. Start again without it.") from None
    found = await list_letters(topic=topic, service=service, limit=page_size, marks=marks, desk=_desk(hub))
    token = hub.page_tokens.sign(packed(found.rest), context) if found.rest else None
    return LetterPage(dead_letters=found.letters, next_page_token=token)


@get("/dead-letters/{letter_id:str}", tags=TAGS, summary="One, with everything in it", responses=problems(404, 503))
async def get_dead_letter(letter_id: FromPath[str], hub: TheHub) -> LetterView:
    return await show_letter(letter_id, desk=_desk(hub))


@post(
    "/dead-letters/{letter_id:str}/replay",
    status_code=200,
    tags=TAGS,
    summary="Put the message back on its topic",
    responses=problems(404, 409, 503),
)
async def post_replay(letter_id: FromPath[str], hub: TheHub) -> Replayed:
    """Byte for byte, with the header `dlq_replay` added. Done again it changes nothing and answers the same.

    What was no message, a record of a provider's page, cannot be replayed: load the connection again.
    """
    return await replay_letter(letter_id, desk=_desk(hub))


HANDLERS: Final = (get_dead_letters, get_dead_letter, post_replay)


def _desk(hub: Hub) -> Desk:
    return Desk(kafka=hub.settings.kafka, database=hub.database, log_id=hub.log_id, org=hub.org)
