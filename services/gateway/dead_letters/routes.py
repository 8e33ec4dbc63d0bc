"""Messages that could not be processed, for operators."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.dead_letters.context import DeadLetterContext
from services.gateway.dead_letters.dead_letter import DeadLetterSummary, DeadLetterView
from services.gateway.dead_letters.listing import (
    EncodedMarks,
    decode_marks,
    encode_marks,
    list_dead_letters,
    show_dead_letter,
)
from services.gateway.dead_letters.replay import Replayed, replay_dead_letter
from services.gateway.http.paging import PageTokens
from services.gateway.http.problems import problems

TAGS = ["Dead letters"]


class DeadLetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """``next_page_token`` is null on the last page; with filters, a page before it may hold less than was asked for."""

    dead_letters: list[DeadLetterSummary]
    next_page_token: str | None


@get("/dead-letters", tags=TAGS, summary="What could not be processed, newest first", responses=problems(503))
async def get_dead_letters(
    context: InjectedContext,
    *,
    topic: Annotated[str | None, QueryParameter(description="Where it came from.")] = None,
    service: Annotated[str | None, QueryParameter(description="Which could not process it.")] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: Annotated[str | None, QueryParameter(description="next_page_token of the page before.")] = None,
) -> DeadLetterPage:
    """Without what they hold. Letters that come while you page are not shown; a page token belongs to its filters."""
    tokens = PageTokens(context.page_tokens, "dead-letters", topic, service, context.org)
    marks = decode_marks(tokens.read(page_token, EncodedMarks))
    found = await list_dead_letters(
        topic=topic, service=service, limit=page_size, marks=marks, context=_context(context)
    )
    token = tokens.write(encode_marks(found.rest)) if found.rest else None
    return DeadLetterPage(dead_letters=found.letters, next_page_token=token)


@get("/dead-letters/{letter_id:str}", tags=TAGS, summary="One, with everything in it", responses=problems(404, 503))
async def get_dead_letter(letter_id: FromPath[str], context: InjectedContext) -> DeadLetterView:
    return await show_dead_letter(letter_id, context=_context(context))


@post(
    "/dead-letters/{letter_id:str}/replay",
    status_code=200,
    tags=TAGS,
    summary="Put the message back on its topic",
    responses=problems(404, 409, 503),
)
async def post_replay(letter_id: FromPath[str], context: InjectedContext) -> Replayed:
    """Byte for byte, with the header `dlq_replay` added. Done again it changes nothing and answers the same.

    What was no message, a record of a provider's page, cannot be replayed: load the connection again.
    """
    return await replay_dead_letter(letter_id, context=_context(context))


ROUTES: Final = (get_dead_letters, get_dead_letter, post_replay)


def _context(context: GatewayContext) -> DeadLetterContext:
    return DeadLetterContext(
        kafka=context.settings.kafka, database=context.database, log_ids=context.log_ids, org=context.org
    )
