"""Calls to a provider's authorization server, in its own dialect of OAuth."""

from services.auth.oauth_client.endpoint import TokenEndpoint
from services.auth.oauth_client.failures import (
    Away,
    BadClient,
    DeadGrant,
    JustRefreshed,
    Lost,
    ProviderFailure,
    Refused,
)
from services.auth.oauth_client.token_response import Grant, Identified

__all__ = [
    "Away",
    "BadClient",
    "DeadGrant",
    "Grant",
    "Identified",
    "JustRefreshed",
    "Lost",
    "ProviderFailure",
    "Refused",
    "TokenEndpoint",
]
