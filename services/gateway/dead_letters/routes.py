"""Routes for dead letters, for operators."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta

from services.gateway.context import GatewayContext, InjectedContext
from services.gateway.dead_letters.context import DeadLetterContext
from services.gateway.dead_letters.dead_letter import (
    SERVICES,
    DeadLetterSummary,
    DeadLetterView,
    check_service,
)
from services.gateway.dead_letters.listing import (
    EncodedMarks,
    decode_marks,
    encode_marks,
    list_dead_letters,
    show_dead_letter,
)
from services.gateway.dead_letters.replay import Replayed, replay_dead_letter
from services.gateway.http.fields import DeadLetterId, NextPageToken, PageSize, PageToken
from services.gateway.http.operations import Link
from services.gateway.http.parameters import LARGEST_PAGE, PageTokens

TAGS: Final = ["Dead letters"]


class DeadLetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters.

    With filters, a page may hold fewer than `page_size` even if more follow.
    """

    dead_letters: Annotated[
        list[DeadLetterSummary], Meta(description="The dead letters, newest first.")
    ]
    next_page_token: NextPageToken


SourceTopic = Annotated[
    str,
    Meta(
        description="Only messages of this topic.",
        extra_json_schema={"x-known": "topics"},
    ),
]
OfService = Annotated[
    str,
    Meta(
        description="Only messages that this service could not process.",
        examples=["gateway"],
        extra_json_schema={"enum": list(SERVICES)},
    ),
]


@get(
    "/dead-letters",
    tags=TAGS,
    summary="List dead letters",
    response_description="A page of dead letters.",
    errors=("unknown_topic", "bad_token"),
    links=(
        Link(
            "get_dead_letter",
            "Get one of them.",
            {"dead_letter_id": "$response.body#/dead_letters/0/id"},
        ),
        Link(
            "post_replay",
            "Replay one of them.",
            {"dead_letter_id": "$response.body#/dead_letters/0/id"},
        ),
        Link(
            "get_dead_letters",
            "Get the next page.",
            {"page_token": "$response.body#/next_page_token"},
        ),
    ),
)
async def get_dead_letters(
    context: InjectedContext,
    *,
    topic: FromQuery[SourceTopic | None] = None,
    service: FromQuery[OfService | None] = None,
    page_size: Annotated[PageSize, QueryParameter(ge=1, le=LARGEST_PAGE)] = 50,
    page_token: FromQuery[PageToken | None] = None,
) -> DeadLetterPage:
    """List dead letters, newest first, without their contents.

    Those that arrive while you page are not shown.
    """
    check_service(service)
    tokens = PageTokens(context.page_tokens, "dead-letters", topic, service, context.org)
    marks = decode_marks(tokens.read(page_token, EncodedMarks))
    found = await list_dead_letters(
        topic=topic, service=service, limit=page_size, marks=marks, context=_context(context)
    )
    token = tokens.write(encode_marks(found.rest)) if found.rest else None
    return DeadLetterPage(dead_letters=found.letters, next_page_token=token)


@get(
    "/dead-letters/{dead_letter_id:str}",
    tags=TAGS,
    summary="Get a dead letter",
    response_description="The dead letter with its headers and value.",
    links=(Link("post_replay", "Replay it.", {"dead_letter_id": "$response.body#/id"}),),
)
async def get_dead_letter(
    dead_letter_id: FromPath[DeadLetterId], context: InjectedContext
) -> DeadLetterView:
    """Return a dead letter with its headers and value, byte for byte."""
    return await show_dead_letter(dead_letter_id, context=_context(context))


@post(
    "/dead-letters/{dead_letter_id:str}/replay",
    status_code=200,
    tags=TAGS,
    summary="Replay a dead letter",
    response_description="The message's new position.",
    errors=("not_replayable", "replay_running"),
    links=(
        Link(
            "get_dead_letter",
            "Get the dead letter, now with `replayed_at`.",
            {"dead_letter_id": "$response.body#/id"},
        ),
    ),
)
async def post_replay(dead_letter_id: FromPath[DeadLetterId], context: InjectedContext) -> Replayed:
    """Send the message to its topic again, byte for byte, with the header `dlq_replay` added.

    Repeating it sends nothing and gives the same answer.

    A record of a provider's page is not a message and cannot be replayed: sync the connection
    again.
    """
    return await replay_dead_letter(dead_letter_id, context=_context(context))


ROUTES: Final = (get_dead_letters, get_dead_letter, post_replay)


def _context(context: GatewayContext) -> DeadLetterContext:
    return DeadLetterContext(
        kafka=context.settings.kafka,
        database=context.database,
        log_ids=context.log_ids,
        org=context.org,
    )
