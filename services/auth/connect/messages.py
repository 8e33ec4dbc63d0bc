"""What people are told when a consent did not end in a connection: what, why, what to do."""

from __future__ import annotations

from typing import Final

from shared.contracts.auth import ErrorBody

_MESSAGES: Final = {
    "state_invalid": "This link was used already, or was not given out by us. Start connecting again.",
    "flow_mismatch": (
        "This consent was started in another browser, or this browser keeps no cookies. "
        "Start connecting again, and stay in one browser window."
    ),
    "flow_expired": "This link is no longer good: it lives for 10 minutes. Start connecting again.",
    "code_missing": "{name} sent you back without saying yes or no. Start connecting again.",
    "access_denied": "{name} was not connected: access was declined there. Start again if you change your mind.",
    "code_expired": "{name} does not accept this consent any more: it is too old, or was used. Start connecting again.",
    "provider_config": (
        "{name} does not accept this installation's own settings. "
        "Whoever runs it has to check the client id, client secret, scopes and redirect URI."
    ),
    "provider_unavailable": "{name} could not be reached or had a problem of its own. Start again in a few minutes.",
    "provider_refused": "{name} refused to connect this account. Start connecting again.",
    "identity_missing": "{name} did not say which account was connected, so nothing was kept. Start connecting again.",
}

# RFC 6749 §4.1.2.1, and what the OpenID and RFC 6749 extensions add for the same events.
CALLBACK_ERRORS: Final = {
    "access_denied": "access_denied",
    "consent_required": "access_denied",
    "interaction_required": "access_denied",
    "login_required": "access_denied",
    "invalid_client": "provider_config",
    "invalid_request": "provider_config",
    "invalid_scope": "provider_config",
    "redirect_uri_mismatch": "provider_config",
    "server_error": "provider_unavailable",
    "temporarily_unavailable": "provider_unavailable",
    "unauthorized_client": "provider_config",
    "unsupported_response_type": "provider_config",
}


def problem(code: str, name: str = "The provider") -> ErrorBody:
    """``name`` is the provider's, as people know it. Nothing a provider or a browser sent is ever part of the words."""
    return ErrorBody(code=code, detail=_MESSAGES[code].format(name=name))
