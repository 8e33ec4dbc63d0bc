"""API keys: who may use a gateway that others can reach, and what for."""

from services.gateway.keys.authenticate import authenticate
from services.gateway.keys.caller import ANYONE, SCOPES, Caller, caller_with
from services.gateway.keys.command import main
from services.gateway.keys.create import CreatedKey, create_key
from services.gateway.keys.refused import TooManyFailures, Unauthorized
from services.gateway.keys.revoke import revoke_key
from services.gateway.keys.session import session_caller, sign_in, sign_out
from services.gateway.keys.throttle import Throttle
from services.gateway.keys.view import KeyView, key_view, list_keys, opens

__all__ = [
    "ANYONE",
    "SCOPES",
    "Caller",
    "CreatedKey",
    "KeyView",
    "Throttle",
    "TooManyFailures",
    "Unauthorized",
    "authenticate",
    "caller_with",
    "create_key",
    "key_view",
    "list_keys",
    "main",
    "opens",
    "revoke_key",
    "session_caller",
    "sign_in",
    "sign_out",
]
