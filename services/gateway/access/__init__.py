"""Who may call which route, and whose data they see."""

from services.gateway.access.caller import AnyConnection, bound_hub, caller_of, still_let_in
from services.gateway.access.cookie import session_cookie, session_token
from services.gateway.access.guard import Guard, key_guard
from services.gateway.access.origin import own_page
from services.gateway.access.sign_in_first import SIGN_IN, SignInFirst, on_sign_in_first

__all__ = [
    "SIGN_IN",
    "AnyConnection",
    "Guard",
    "SignInFirst",
    "bound_hub",
    "caller_of",
    "key_guard",
    "on_sign_in_first",
    "own_page",
    "session_cookie",
    "session_token",
    "still_let_in",
]
