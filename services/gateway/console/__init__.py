"""The web console at ``/``: pages for people, over the same verbs and rows as the API."""

from typing import Final

from litestar.handlers import HTTPRouteHandler

from services.gateway.console.actions import (
    ask_for_key,
    choose_theme,
    connect,
    end,
    leave_session,
    order_part,
    retry,
    sync_now,
    take_key,
)
from services.gateway.console.docs import docs_page, events_json, events_page, openapi_json
from services.gateway.console.files import favicon, static_file
from services.gateway.console.pages import ask_disconnect, cards, console, items, leave, one_item

FIRST_PAGE: Final[HTTPRouteHandler] = console
ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (
    cards,
    items,
    one_item,
    ask_disconnect,
    leave,
    connect,
    order_part,
    retry,
    sync_now,
    end,
    choose_theme,
    ask_for_key,
    take_key,
    leave_session,
    static_file,
    favicon,
    docs_page,
    openapi_json,
    events_json,
    events_page,
)
