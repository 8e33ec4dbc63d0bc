"""The web console at ``/``: pages for people, over the same verbs and rows as the API."""

from litestar.handlers import HTTPRouteHandler

from services.gateway.console.actions import choose_theme, connect, end, reload
from services.gateway.console.files import favicon, static_file
from services.gateway.console.pages import ask_disconnect, cards, console, items, leave, one_item
from services.gateway.console.sign_in import ask_for_key, leave_session, take_key

routes: list[HTTPRouteHandler] = [
    console,
    cards,
    items,
    one_item,
    ask_disconnect,
    leave,
    connect,
    reload,
    end,
    choose_theme,
    ask_for_key,
    take_key,
    leave_session,
    static_file,
    favicon,
]
