"""Call a provider's authorization server in its own dialect of OAuth."""

from services.auth.oauth_client.endpoint import Grant, Identified, TokenEndpoint
from services.auth.oauth_client.failures import (
    Away,
    BadClient,
    DeadGrant,
    JustRefreshed,
    Lost,
    ProviderFailure,
    Refused,
)

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
